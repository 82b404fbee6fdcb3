// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <thread>

#include "fake_host.h"
#include "newest_rows.h"
#include "query/process_table.h"
#include "query/sql_columns.h"
#include "query_rows.h"
#include "trivet/records/alert.h"
#include "trivet/records/flow.h"
#include "trivet/records/http_request.h"

using namespace trivet;

namespace {

using Rows = std::vector<std::vector<std::string>>;

// 2026-03-01T12:00:00Z at boot.
constexpr std::int64_t kBoot = 1'772'366'400'000'000'000;

const std::string kForever =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT ";

struct Asked {
  Tables tables{{100'000, 256 << 20}};
  FakeFacts facts;
  QueryEngine engine{tables, {process_table(facts)}, [] { return Origin{"host", kBoot}; }};

  Asked() {
    for (const auto* schema : {&Alert::schema(), &Flow::schema(), &HttpRequest::schema()}) {
      tables.declare(*schema);
    }
  }
  void add_request(std::uint64_t second, const std::string& path, std::int64_t latency_ns = 0) {
    HttpRequest request;
    request.time.boot_ns = second * 1'000'000'000;
    request.path = path;
    request.latency.ns = latency_ns;
    tables.append(HttpRequest::schema(), std::make_shared<HttpRequest>(request));
  }
  Rows ask(const std::string& sql) { return trivet::ask(engine, sql); }
  std::string error(const std::string& sql) {
    auto rows = ask(sql);
    return rows.size() == 1 && rows[0].size() == 1 ? rows[0][0] : "no error";
  }
};

}  // namespace

TEST_CASE("every column type has its SQL type and its text") {
  Asked asked;
  HttpRequest request;
  request.time.boot_ns = 1'500'000'000;
  request.pid = 7;
  request.path = "it's";
  request.peer_address = *IpAddress::parse("2001:db8::1");
  request.latency.ns = -5;
  request.request_body_truncated = true;
  request.request_headers.items = {{"host", std::string("a\"b")}, {"n", std::int64_t{3}}};
  asked.tables.append(HttpRequest::schema(), std::make_shared<HttpRequest>(request));
  CHECK(asked.ask("SELECT time, time_ns, pid, uid, path, peer_address, local_address, latency, "
                  "request_body_truncated, request_headers FROM http_requests") ==
        Rows{{"2026-03-01T12:00:01.500000000Z", "1772366401500000000", "7", "NULL", "it's",
              "2001:db8::1", "NULL", "-5", "1", R"({"host":"a\"b","n":3})"}});
  CHECK(asked.ask("SELECT typeof(time), typeof(time_ns), typeof(uid), typeof(path), "
                  "request_headers ->> 'host' FROM http_requests") ==
        Rows{{"text", "integer", "null", "text", "a\"b"}});
  CHECK(asked.ask("SELECT type FROM columns WHERE table_name = 'http_requests' AND name IN "
                  "('time', 'time_ns', 'path', 'latency') ORDER BY name") ==
        Rows{{"INTEGER"}, {"TEXT"}, {"TEXT"}, {"INTEGER"}});
}

TEST_CASE("moments compare with RFC 3339 and with what datetime() gives") {
  Asked asked;
  for (std::uint64_t second = 0; second < 10; ++second) asked.add_request(second, "/");
  for (const char* five :
       {"'2026-03-01T12:00:05Z'", "'2026-03-01 12:00:05'", "datetime(1772366405, 'unixepoch')",
        "'2026-03-01T12:00:05.000000000Z'"}) {
    CAPTURE(five);
    CHECK(asked.ask(std::string("SELECT count(*) FROM http_requests WHERE time > ") + five)[0][0] ==
          (std::string(five).find(".0") == std::string::npos ? "5" : "4"));
    CHECK(asked.ask(std::string("SELECT count(*) FROM http_requests WHERE ") + five +
                    " > time")[0][0] == "5");
  }
  CHECK(asked.ask("SELECT count(*) FROM http_requests WHERE time >= '2026-03-01' AND time < "
                  "'2026-03-02'") == Rows{{"10"}});
}

TEST_CASE("percentiles are those of a sorted list") {
  std::mt19937 random(3);
  for (std::size_t count : {1u, 2u, 3u, 10u, 99u, 100u, 101u, 1000u}) {
    Asked asked;
    std::vector<std::int64_t> values;
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(static_cast<std::int64_t>(random() % 500) - 250);
      asked.add_request(i, "/", values.back());
    }
    std::ranges::sort(values);
    // Nearest rank: the smallest value that at least p percent of all do not exceed.
    const auto expected = [&](std::size_t percent) {
      for (std::size_t rank = 1; rank <= count; ++rank) {
        if (rank * 100 >= percent * count) return std::to_string(values[rank - 1]);
      }
      return std::string();
    };
    CAPTURE(count);
    CHECK(asked.ask("SELECT p50(latency), p90(latency), p99(latency) FROM http_requests") ==
          Rows{{expected(50), expected(90), expected(99)}});
  }
  Asked asked;
  CHECK(asked.ask("SELECT p50(latency), p50(NULL) FROM http_requests") == Rows{{"NULL", "NULL"}});
  CHECK(asked.ask("SELECT p50(x) FROM (SELECT 1 AS x UNION ALL SELECT 2.5 UNION ALL SELECT 9)") ==
        Rows{{"2.5"}});
  CHECK(asked.error("SELECT p50('x')").find("numbers") != std::string::npos);
}

TEST_CASE("a query can only read, and only trivet's tables") {
  Asked asked;
  for (const std::string sql : {"DELETE FROM flows",
                                "UPDATE flows SET pid = 1",
                                "INSERT INTO flows(pid) VALUES (1)",
                                "CREATE TABLE x(a)",
                                "CREATE TEMP TABLE x(a)",
                                "DROP TABLE flows",
                                "ATTACH 'x' AS y",
                                "ATTACH ':memory:' AS y",
                                "PRAGMA journal_mode",
                                "PRAGMA table_info(flows)",
                                "SELECT * FROM pragma_database_list",
                                "SELECT load_extension('x')",
                                "VACUUM INTO '/tmp/x'",
                                "BEGIN",
                                "SELECT * FROM sqlite_master",
                                "UPDATE sqlite_master SET sql = ''",
                                "REINDEX",
                                "CREATE VIRTUAL TABLE x USING fts5(a)",
                                "CREATE VIRTUAL TABLE x USING flows",
                                "SELECT * FROM dbstat",
                                "SELECT zeroblob(1000000000)",
                                "ANALYZE",
                                "EXPLAIN DELETE FROM flows",
                                "SELECT fts3_tokenizer('x')"}) {
    CAPTURE(sql);
    CHECK(asked.error(sql).starts_with("error: "));
  }
  CHECK(asked.ask("SELECT 1;  -- done") == Rows{{"1"}});
  CHECK(asked.error("SELECT 1; SELECT 2").find("one statement") != std::string::npos);
  CHECK(asked.error("").find("empty") != std::string::npos);
  // Not what SQLite would take for the whole of it.
  CHECK(asked.error(std::string("SELECT 1\0, 2", 12)) ==
        "error: a statement is text without NUL bytes: take away the one behind character 8");
  CHECK(asked.error(std::string("SELECT 1\0", 9)).find("NUL") != std::string::npos);
}

TEST_CASE("an error says what to write instead") {
  Asked asked;
  CHECK(asked.error("SELECT * FROM flow").find("did you mean flows?") != std::string::npos);
  CHECK(asked.error("SELECT pth FROM http_requests").find("did you mean path?") !=
        std::string::npos);
  CHECK(asked.error("SELECT pth FROM http_requests").find("at character 8") != std::string::npos);
  for (const std::string table : {"dbstat", "sqlite_stmt", "pragma_database_list", "sqlite_master",
                                  "pragma_table_info('flows')"}) {
    CAPTURE(table);
    const auto error = asked.error("SELECT * FROM " + table);
    CHECK(error.starts_with("error: there is no table "));
    CHECK(error.find("SELECT DISTINCT table_name FROM columns") != std::string::npos);
  }
  CHECK(asked.error("SELEC 1").find("syntax error") != std::string::npos);
  CHECK(asked.error(std::string(kMaxStatementBytes + 1, ' ')).starts_with("error: "));
}

TEST_CASE("a query ends at its limits of time and memory, and when it is cancelled") {
  Asked asked;
  asked.engine.set_limits({.memory_bytes = 8 << 20, .time_ns = 50'000'000});
  CHECK(asked.error(kForever + "count(*) FROM n").find("took longer than 0 s") !=
        std::string::npos);
  asked.engine.set_limits({.memory_bytes = 8 << 20, .time_ns = 60'000'000'000});
  CHECK(asked.error(kForever + "group_concat(i) FROM n").find("MiB of memory") !=
        std::string::npos);
  CHECK(asked.error(kForever + "p50(i) FROM n").find("MiB of memory") != std::string::npos);

  asked.engine.set_limits({});
  KeptRows kept;
  std::atomic<bool> cancelled = false;
  std::jthread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    cancelled = true;
  });
  CHECK(asked.engine.run(kForever + "count(*) FROM n", kept, cancelled));
  CHECK(kept.rows.empty());
}

// Sanitizers put a quadratic memmem() in the place of the C library's.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSlowSearch = true;
#else
constexpr bool kSlowSearch = false;
#endif

TEST_CASE("no single call of a function escapes a query's limits" * doctest::skip(kSlowSearch)) {
  Asked asked;
  const std::string many = "printf('%.*c', 30000000, 'a')", pattern = "printf('%.*c', 900, 'a')",
                    bytes = "replace(printf('%.*c', 4000000, 'a'), 'a', CAST(x'80' AS TEXT))";
  std::string doubled = "WITH t0 AS (SELECT 1 AS x)";
  for (int i = 1; i <= 40; ++i) {
    const auto before = "t" + std::to_string(i - 1);
    doubled +=
        ", t" + std::to_string(i) + " AS (SELECT a.x FROM " + before + " a, " + before + " b)";
  }
  struct Row {
    std::string sql, answer;  // its beginning
  };
  const std::string late = "error: the query took longer than 0.2 s";
  const Row rows[] = {
      {"SELECT instr(" + many + ", printf('%.*c', 1000000, 'a') || 'b')", "0"},
      {"SELECT instr(" + bytes + ", " + bytes + " || 'b')", "0"},
      {"SELECT length(replace(" + many + ", printf('%.*c', 1000000, 'a') || 'b', 'c'))",
       "30000000"},
      {"SELECT " + many + " LIKE '%' || " + pattern + " || 'b%'",
       "error: LIKE or GLOB takes too long"},
      {"SELECT " + many + " LIKE '%' || " + pattern + " || 'b%' ESCAPE '\\'",
       "error: LIKE or GLOB takes too long"},
      {"SELECT " + many + " GLOB '*' || " + pattern + " || 'b*'",
       "error: LIKE or GLOB takes too long"},
      {"SELECT trim(" + many + ", replace(" + pattern + ", 'a', 'b') || 'a')",
       "error: trim() takes too long"},
      {"SELECT trim(" + many + ", " + many + ")", "error: trim() takes away at most"},
      {"SELECT json_patch('{}', '{}')", "error: the function json_patch() cannot be used here"},
      {"SELECT printf(replace(printf('%.*c', 10000, 'a'), 'a', '%.30000000g'))", late},
      {kForever + "count(" + many + " LIKE '%aaaaaaaaaaaaa' || i || '%') FROM n", late},
      {kForever + "count(instr(" + many + ", 'b' || i)) FROM n", late},
      {kForever + "count(trim(" + many + ", 'ab' || i)) FROM n", late},
      {kForever + "count(length(" + many + ") + i) FROM n", late},
      {doubled + " SELECT count(*) FROM t40", late},
  };
  for (const auto& [sql, answer] : rows) {
    CAPTURE(sql);
    asked.engine.set_limits({.time_ns = answer == late ? 200'000'000u : 60'000'000'000u});
    timespec begin{}, end{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    CHECK(asked.error(sql).starts_with(answer));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    CHECK(end.tv_sec - begin.tv_sec < 10);
  }
}

TEST_CASE("processes join with the records of theirs") {
  Asked asked;
  auto shell = asked.facts.add(tree({.name = "sshd", .args = {"sshd", "-D"}},
                                    {tree({.name = "bash", .args = {"bash", "-l"}})}));
  auto bash = asked.facts.named("bash");
  auto alert = std::make_shared<Alert>();
  alert->pid = bash->key.tgid;
  alert->process_start_ns = bash->key.start_ns;
  alert->rule = "A shell";
  asked.tables.append(Alert::schema(), std::move(alert));
  CHECK(asked.ask("SELECT a.rule, p.cmdline, parent.cmdline, p.user FROM alerts a "
                  "JOIN processes p USING (pid, process_start_ns) "
                  "JOIN processes parent ON parent.pid = p.ppid") ==
        Rows{{"A shell", "bash -l", "sshd -D", "root"}});
}

TEST_CASE("a query sees the rows that were there when it began, while writers go on") {
  Asked asked;
  std::atomic<bool> stop = false;
  std::jthread writer([&] {
    for (std::uint64_t i = 0; !stop; ++i) asked.add_request(i, "/" + std::to_string(i % 7), 1);
  });
  for (int i = 0; i < 30; ++i) {
    auto rows = asked.ask(
        "SELECT count(*), sum(latency), (SELECT count(*) FROM http_requests), "
        "(SELECT sum(n) FROM (SELECT path, count(*) AS n FROM http_requests GROUP BY path)) "
        "FROM http_requests");
    REQUIRE(rows.size() == 1);
    if (rows[0][0] == "0") continue;
    CHECK(rows[0][1] == rows[0][0]);
    CHECK(rows[0][2] == rows[0][0]);
    CHECK(rows[0][3] == rows[0][0]);
  }
  stop = true;
}

TEST_CASE("a record that comes back from a segment is the record that went in") {
  Tables tables({.rows = 100, .bytes = 1 << 20});
  Alert alert;
  alert.time.boot_ns = ~std::uint64_t{0};
  alert.uid = 4'294'967'295;
  alert.tags = {"a", "", "\xff"};
  alert.output.assign(1000, 'x');
  alert.output_fields.items = {
      {"x", true}, {"y", -1.5}, {"", std::string("\0z", 2)}, {"u", ~std::uint64_t{0}}, {"n", {}}};
  for (int i = 0; i < 10; ++i) tables.append(Alert::schema(), std::make_shared<Alert>(alert));
  for (const auto& row : newest(tables, {"alerts"}, 10)) {
    auto made = std::static_pointer_cast<const Alert>(row.record());
    CHECK(made->time == alert.time);
    CHECK(made->uid == alert.uid);
    CHECK(made->tags == alert.tags);
    CHECK(made->output == alert.output);
    CHECK(made->output_fields == alert.output_fields);
  }
}

TEST_CASE("what is too old goes, counted") {
  Tables tables({.rows = 100, .bytes = 1 << 20, .age_ns = 1'000'000'000});
  tables.append(Alert::schema(), std::make_shared<Alert>());
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const auto now_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000;
  tables.expire(now_ns);
  CHECK(tables.states()[0].rows == 1);
  tables.expire(now_ns + 5'000'000'000);
  CHECK(tables.states()[0].rows == 0);
  CHECK(tables.states()[0].evicted == 1);
}
