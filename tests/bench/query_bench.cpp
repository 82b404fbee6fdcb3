// SPDX-License-Identifier: Apache-2.0
// What queries over http_requests cost, against the same rows in a plain table of SQLite; what
// keeping a record costs, alone and while a query runs; and memory for each row. In seconds of one
// core. SQLite's own table lives in another process, so that neither works in a heap that the other
// has torn to pieces.
//   query_bench [ROWS]
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "query/engine.h"
#include "traffic.h"

using namespace trivet;

namespace {

struct Counted final : RowSink {
  std::uint64_t rows = 0;
  bool columns(const std::vector<std::string>&) override { return true; }
  bool row(std::span<const Cell>) override {
    ++rows;
    return true;
  }
};

class PlainTable {
 public:
  PlainTable() {
    sqlite3_open(":memory:", &database_);
    run("CREATE TABLE http_requests(time_ns INTEGER, pid INTEGER, path TEXT, method TEXT, status "
        "INTEGER, "
        "latency INTEGER, host TEXT, response_body_bytes INTEGER)");
    run("PRAGMA temp_store = MEMORY; BEGIN");
    sqlite3_prepare_v2(database_, "INSERT INTO http_requests VALUES (?,?,?,?,?,?,?,?)", -1,
                       &insert_, nullptr);
  }
  ~PlainTable() {
    sqlite3_finalize(insert_);
    sqlite3_close(database_);
  }
  PlainTable(const PlainTable&) = delete;

  void append(const HttpRequest& r) {
    sqlite3_bind_int64(insert_, 1, static_cast<sqlite3_int64>(r.time.boot_ns));
    sqlite3_bind_int64(insert_, 2, r.pid);
    sqlite3_bind_text(insert_, 3, r.path.data(), static_cast<int>(r.path.size()), SQLITE_STATIC);
    sqlite3_bind_text(insert_, 4, r.method.data(), static_cast<int>(r.method.size()),
                      SQLITE_STATIC);
    sqlite3_bind_int64(insert_, 5, r.status.value_or(0));
    sqlite3_bind_int64(insert_, 6, r.latency.ns);
    sqlite3_bind_text(insert_, 7, r.host.data(), static_cast<int>(r.host.size()), SQLITE_STATIC);
    sqlite3_bind_int64(insert_, 8, static_cast<sqlite3_int64>(r.response_body_bytes));
    sqlite3_step(insert_);
    sqlite3_reset(insert_);
  }
  void commit() { run("COMMIT"); }
  std::uint64_t run(const std::string& sql) {
    std::uint64_t rows = 0;
    const auto count = [](void* rows_, int, char**, char**) {
      return ++*static_cast<std::uint64_t*>(rows_), 0;
    };
    char* message = nullptr;
    if (sqlite3_exec(database_, sql.c_str(), count, &rows, &message) != SQLITE_OK) {
      std::fprintf(stderr, "%s: %s\n", sql.c_str(), message);
      std::exit(1);
    }
    return rows;
  }

 private:
  sqlite3* database_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
};

// A plain table of the same rows in a process of its own. run() is for one thread.
class PlainProcess {
 public:
  struct Answer {
    double seconds;  // of one core
    std::uint64_t rows;
  };

  explicit PlainProcess(std::size_t rows) {
    int questions[2], answers[2];
    if (::pipe(questions) != 0 || ::pipe(answers) != 0 || (child_ = ::fork()) < 0) {
      std::perror("query_bench");
      std::exit(1);
    }
    if (child_ == 0) {
      ::close(questions[1]);
      serve(rows, ::fdopen(questions[0], "r"), answers[1]);
      std::exit(0);
    }
    ::close(questions[0]);
    ::close(answers[1]);
    questions_ = questions[1];
    answers_ = answers[0];
  }
  ~PlainProcess() {
    ::close(questions_);
    ::waitpid(child_, nullptr, 0);
  }
  PlainProcess(const PlainProcess&) = delete;

  // `sql` is one line.
  Answer run(const std::string& sql) {
    const std::string line = sql + '\n';
    Answer answer{};
    if (::write(questions_, line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
        ::read(answers_, &answer, sizeof(answer)) != sizeof(answer)) {
      std::fprintf(stderr, "query_bench: the process with SQLite's own table has ended\n");
      std::exit(1);
    }
    return answer;
  }

 private:
  static void serve(std::size_t rows, std::FILE* questions, int answers) {
    PlainTable table;
    const double before = resident_mib();
    Traffic traffic;
    for (std::size_t i = 0; i < rows; ++i) table.append(traffic.next());
    table.commit();
    std::printf("the same in SQLite's own table, 8 columns only: %.1f bytes a row\n",
                (resident_mib() - before) * (1 << 20) / static_cast<double>(rows));
    std::fflush(stdout);
    char* line = nullptr;
    std::size_t room = 0;
    while (::getline(&line, &room, questions) > 0) {
      Answer answer{};
      const double start = core_seconds();
      answer.rows = table.run(line);
      answer.seconds = core_seconds() - start;
      if (::write(answers, &answer, sizeof(answer)) != sizeof(answer)) break;
    }
    std::free(line);
  }

  pid_t child_;
  int questions_, answers_;
};

std::uint64_t ask(const QueryEngine& engine, const std::string& sql) {
  Counted counted;
  const std::atomic<bool> cancelled = false;
  if (auto done = engine.run(sql, counted, cancelled); !done) {
    std::fprintf(stderr, "%s: %s\n", sql.c_str(), done.error().to_string().c_str());
    std::exit(1);
  }
  return counted.rows;
}

struct Question {
  const char* what;
  std::string ours;
  std::string plain;  // empty: the same
};

double appends_per_second(Tables& tables,
                          const std::vector<std::shared_ptr<const HttpRequest>>& records,
                          std::size_t rounds) {
  const double start = core_seconds();
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const auto& record : records) tables.append(HttpRequest::schema(), record);
  }
  return static_cast<double>(rounds * records.size()) / (core_seconds() - start);
}

void measure_appends(Tables& tables, const QueryEngine& engine) {
  Traffic traffic;
  std::vector<std::shared_ptr<const HttpRequest>> records;
  for (int i = 0; i < 100'000; ++i)
    records.push_back(std::make_shared<HttpRequest>(traffic.next()));
  std::vector<double> alone, with_query;
  for (int i = 0; i < 3; ++i) {
    alone.push_back(appends_per_second(tables, records, 3));
    std::atomic<bool> stop = false;
    std::thread reader([&] {
      while (!stop) ask(engine, "SELECT path, p99(latency) FROM http_requests GROUP BY path");
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    with_query.push_back(appends_per_second(tables, records, 3));
    stop = true;
    reader.join();
  }
  std::printf("appends/s of one writer: %.0f alone, %.0f while a query runs (ratio %.2f)\n",
              median(alone), median(with_query), median(with_query) / median(alone));
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rows = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10'000'000;
  PlainProcess plain(rows);
  Tables tables({.rows = rows + 2'000'000, .bytes = std::size_t{8} << 30});
  tables.declare(HttpRequest::schema());
  QueryEngine engine(tables, {}, [] { return Origin{"host", 0}; });
  engine.set_limits({.memory_bytes = std::size_t{1} << 30, .time_ns = 600'000'000'000});
  const double before = resident_mib();
  {
    Traffic traffic;
    for (std::size_t i = 0; i < rows; ++i) {
      tables.append(HttpRequest::schema(), std::make_shared<HttpRequest>(traffic.next()));
    }
  }
  const double taken = resident_mib() - before;
  std::printf(
      "%zu rows of http_requests with %zu columns: %.0f MiB resident, %.1f bytes a row; by own "
      "count %.1f\n",
      rows, HttpRequest::schema().columns.size(), taken,
      taken * (1 << 20) / static_cast<double>(rows),
      static_cast<double>(tables.states()[0].bytes) / static_cast<double>(rows));
  const Question questions[] = {
      {"count(*)", "SELECT count(*) FROM http_requests", ""},
      {"scan with a filter on a number", "SELECT count(*) FROM http_requests WHERE status >= 500",
       ""},
      {"scan with a filter on a text",
       "SELECT count(*), sum(latency) FROM http_requests WHERE method = 'POST'", ""},
      {"scan with a filter that nothing helps",
       "SELECT count(*) FROM http_requests WHERE latency % 7 = 3", ""},
      {"the last 10 rows by time", "SELECT path FROM http_requests ORDER BY time_ns DESC LIMIT 10",
       ""},
      {"group by path with p50 and p99",
       "SELECT path, count(*), p50(latency), p99(latency) FROM http_requests GROUP BY path",
       // SQLite's own table knows no percentiles: the same grouping with two cheaper aggregates.
       "SELECT path, count(*), min(latency), max(latency) FROM http_requests GROUP BY path"},
      {"group by status",
       "SELECT status, count(*), avg(latency) FROM http_requests GROUP BY status", ""},
  };
  for (const auto& question : questions) {
    std::vector<double> ours, theirs;
    std::uint64_t our_rows = 0, their_rows = 0;
    for (int i = 0; i < 3; ++i) {
      const double start = core_seconds();
      our_rows = ask(engine, question.ours);
      ours.push_back(core_seconds() - start);
      const auto answer = plain.run(question.plain.empty() ? question.ours : question.plain);
      theirs.push_back(answer.seconds);
      their_rows = answer.rows;
    }
    if (our_rows != their_rows)
      std::printf("DIFFERENT numbers of rows: %zu and %zu\n", our_rows, their_rows);
    std::printf("%-40s %8.3f s, plain SQLite %8.3f s (ratio %.2f)\n", question.what, median(ours),
                median(theirs), median(ours) / median(theirs));
  }
  measure_appends(tables, engine);
}
