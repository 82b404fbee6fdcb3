// SPDX-License-Identifier: Apache-2.0
// The same random questions to trivet's tables and to plain tables of SQLite with the same rows:
// what is pushed down to the segments must change no answer.
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <time.h>

#include <algorithm>
#include <random>

#include "query_rows.h"
#include "trivet/records/http_request.h"

using namespace trivet;

namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr std::int64_t kBoot = 1'700'000'000'000'000'000;
const char* const kColumns[] = {"time", "time_ns",      "pid",       "uid",
                                "path", "method",       "status",    "latency",
                                "host", "peer_address", "peer_port", "request_body_truncated"};
const char* const kTypes[] = {"TEXT",    "INTEGER", "INTEGER", "INTEGER", "TEXT",    "TEXT",
                              "INTEGER", "INTEGER", "TEXT",    "TEXT",    "INTEGER", "INTEGER"};

std::string moment(std::int64_t ns) {
  time_t second = ns / 1'000'000'000;
  tm parts{};
  gmtime_r(&second, &parts);
  char text[40], fraction[16];
  strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(fraction, sizeof(fraction), ".%09dZ", static_cast<int>(ns % 1'000'000'000));
  return std::string(text) + fraction;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

class Oracle {
 public:
  Oracle() {
    sqlite3_open(":memory:", &database_);
    std::string sql = "CREATE TABLE http_requests(";
    for (std::size_t i = 0; i < std::size(kColumns); ++i) {
      sql += std::string(i ? ", " : "") + kColumns[i] + " " + kTypes[i];
    }
    run(sql + ")");
  }
  ~Oracle() { sqlite3_close(database_); }
  Oracle(const Oracle&) = delete;

  Rows run(const std::string& sql) {
    Rows rows;
    sqlite3_stmt* statement = nullptr;
    REQUIRE_MESSAGE(
        sqlite3_prepare_v2(database_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK, sql, ": ",
        sqlite3_errmsg(database_));
    while (sqlite3_step(statement) == SQLITE_ROW) {
      auto& row = rows.emplace_back();
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        auto text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        row.emplace_back(text ? text : "NULL");
      }
    }
    sqlite3_finalize(statement);
    return rows;
  }

 private:
  sqlite3* database_ = nullptr;
};

// Values that collide, repeat, are extreme, and are absent.
class World {
 public:
  explicit World(std::uint32_t seed) : random_(seed) {}

  template <class T>
  T one_of(std::initializer_list<T> values) {
    return *(values.begin() + below(values.size()));
  }
  std::size_t below(std::size_t end) { return random_() % end; }

  HttpRequest request() {
    HttpRequest r;
    const bool late = below(20) == 0;
    clock_ns_ += below(3) * 500'000'000;
    r.time.boot_ns = clock_ns_ - (late ? 2'000'000'000 : 0);
    r.pid = static_cast<std::uint32_t>(below(8));
    if (below(3)) r.uid = one_of<std::uint32_t>({0, 1000, 65534, 4294967295u});
    r.path = one_of<std::string>({"/", "/a", "/A", "/it's", "/long/er", "", "\xff\xfe", "/b"}) +
             (below(4) ? "" : std::to_string(below(30)));
    r.method = one_of<std::string>({"GET", "POST", "get"});
    if (below(5)) r.status = one_of<std::uint32_t>({200, 404, 500, 301});
    r.latency.ns = static_cast<std::int64_t>(below(4) ? below(1000) : random_()) - 500;
    r.host = below(2) ? "" : std::string(300, 'h') + std::to_string(below(5));
    const std::uint8_t four[] = {10, 0, 0, static_cast<std::uint8_t>(below(12))};
    std::uint8_t sixteen[16] = {0x20, 1, 0xd, 0xb8};
    sixteen[15] = static_cast<std::uint8_t>(below(12));
    if (below(6)) r.peer_address = below(2) ? IpAddress::v4(four) : IpAddress::v6(sixteen);
    r.peer_port = static_cast<std::uint16_t>(one_of<int>({0, 80, 443, 65535}));
    r.request_body_truncated = below(2) != 0;
    return r;
  }

  std::string cell(const HttpRequest& r, std::size_t column) {
    const auto real = static_cast<std::int64_t>(r.time.boot_ns) + kBoot;
    switch (column) {
      case 0:
        return quoted(moment(real));
      case 1:
        return std::to_string(real);
      case 2:
        return std::to_string(r.pid);
      case 3:
        return r.uid ? std::to_string(*r.uid) : "NULL";
      case 4:
        return quoted(r.path);
      case 5:
        return quoted(r.method);
      case 6:
        return r.status ? std::to_string(*r.status) : "NULL";
      case 7:
        return std::to_string(r.latency.ns);
      case 8:
        return quoted(r.host);
      case 9:
        return r.peer_address.family ? quoted(r.peer_address.to_string()) : "NULL";
      case 10:
        return std::to_string(r.peer_port);
      default:
        return r.request_body_truncated ? "1" : "0";
    }
  }

  std::string term(const std::vector<HttpRequest>& requests) {
    const std::size_t column = below(std::size(kColumns));
    std::string constant = cell(requests[below(requests.size())], column);
    switch (below(10)) {
      case 0:
        constant =
            one_of<std::string>({"NULL", "'200'", "3.5", "-1e30", "1e30", "'x'", "''", "80.0"});
        break;
      case 1:
        if (column == 0) constant = constant.substr(0, 11 + below(20)) + "'";
        break;
      case 2:
        return std::string(kColumns[column]) + " IN (" + constant + ", " +
               cell(requests[below(requests.size())], column) + ")";
      case 3:
        return std::string(kColumns[column]) + one_of<std::string>({" IS NULL", " IS NOT NULL"});
      default:
        break;
    }
    std::string compared = std::string(kColumns[column]) + " " +
                           one_of<std::string>({"=", "=", "<", "<=", ">", ">=", "<>", "IS"}) + " " +
                           constant;
    if (column == 4 && below(4) == 0) compared += " COLLATE NOCASE";
    return below(8) == 0 ? "NOT (" + compared + ")" : compared;
  }

  std::string where(const std::vector<HttpRequest>& requests) {
    std::string sql;
    for (std::size_t terms = below(4), i = 0; i < terms; ++i) {
      sql += (i == 0 ? " WHERE " : below(5) ? " AND " : " OR ") + term(requests);
    }
    return sql;
  }

 private:
  std::mt19937 random_;
  std::uint64_t clock_ns_ = 5'000'000'000;
};

Rows sorted(Rows rows) {
  std::ranges::sort(rows);
  return rows;
}

std::string shown(const Rows& rows) {
  std::string text;
  for (const auto& row : rows) {
    for (const auto& cell : row) text += cell + " | ";
    text += '\n';
  }
  return text;
}

}  // namespace

TEST_CASE("what is pushed down changes no answer") {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    World world(seed);
    Oracle oracle;
    // 32 segments or fewer: borders between them, the last one still growing.
    Tables tables({.rows = 1000 * seed, .bytes = 256 << 20});
    std::vector<HttpRequest> requests;
    oracle.run("BEGIN");
    for (int i = 0; i < 600; ++i) {
      requests.push_back(world.request());
      std::string sql = "INSERT INTO http_requests VALUES (";
      for (std::size_t c = 0; c < std::size(kColumns); ++c) {
        sql += (c ? ", " : "") + world.cell(requests.back(), c);
      }
      oracle.run(sql + ")");
      tables.append(HttpRequest::schema(), std::make_shared<HttpRequest>(requests.back()));
    }
    oracle.run("COMMIT");
    const QueryEngine engine(tables, {}, [] { return Origin{"host", kBoot}; });

    std::string all;
    for (const char* column : kColumns) all += (all.empty() ? "" : ", ") + std::string(column);
    for (int i = 0; i < 80; ++i) {
      const std::string where = world.where(requests);
      const std::string column = kColumns[world.below(std::size(kColumns))];
      const std::string direction = world.below(2) ? " DESC" : "";

      std::string sql = "SELECT " + all + " FROM http_requests" + where;
      CAPTURE(sql);
      CHECK(shown(sorted(ask(engine, sql))) == shown(sorted(oracle.run(sql))));

      sql = "SELECT " + column + " FROM http_requests" + where + " ORDER BY " + column + direction;
      CHECK(shown(ask(engine, sql)) == shown(oracle.run(sql)));
      sql += " LIMIT 7 OFFSET 3";
      CHECK(shown(ask(engine, sql)) == shown(oracle.run(sql)));

      sql =
          "SELECT " + column +
          ", count(*), count(DISTINCT path), min(latency), max(time), sum(pid) FROM http_requests" +
          where + " GROUP BY " + column;
      CHECK(shown(sorted(ask(engine, sql))) == shown(sorted(oracle.run(sql))));
      sql = "SELECT DISTINCT " + column + " FROM http_requests" + where;
      CHECK(shown(sorted(ask(engine, sql))) == shown(sorted(oracle.run(sql))));
    }
    for (const std::string sql :
         {"SELECT a.time, b.path FROM http_requests a JOIN http_requests b ON a.pid = b.pid AND "
          "a.latency = b.latency",
          "SELECT count(*) FROM http_requests a LEFT JOIN http_requests b ON b.path = a.host AND "
          "b.uid = a.uid",
          "SELECT a.peer_address, count(*) FROM http_requests a JOIN http_requests b USING "
          "(peer_address) "
          "WHERE a.status = 404 GROUP BY 1",
          "SELECT path, row_number() OVER (PARTITION BY path ORDER BY time_ns, latency, pid, host, "
          "peer_port, method) FROM http_requests",
          "SELECT max(time), min(time), max(path), min(latency) FROM http_requests"}) {
      CAPTURE(sql);
      CHECK(shown(sorted(ask(engine, sql))) == shown(sorted(oracle.run(sql))));
    }
  }
}

namespace {

// Texts, blobs and numbers in which little repeats much, whole and broken UTF-8.
std::string constant(World& world) {
  if (world.below(12) == 0) return world.one_of<std::string>({"NULL", "17", "-1.5", "''", "x''"});
  std::string hex;
  for (std::size_t left = world.below(12); left > 0; --left) {
    hex += world.one_of<std::string>({"61", "62", "41", "25", "5f", "2a", "3f", "5b", "5d", "5e",
                                      "2d", "c3a9", "e282ac", "f09f9880", "80", "ff", "61", "62"});
    if (world.below(40) == 0) hex += "00";
  }
  const std::string bytes = "x'" + hex + "'";
  return world.below(8) == 0 ? bytes : "CAST(" + bytes + " AS TEXT)";
}

}  // namespace

TEST_CASE("functions on text give what SQLite's own give") {
  World world(11);
  Oracle oracle;
  Tables tables({.rows = 1000, .bytes = 1 << 20});
  const QueryEngine engine(tables, {}, [] { return Origin{"host", kBoot}; });
  for (int i = 0; i < 3000; ++i) {
    const std::string a = constant(world), b = constant(world), c = constant(world);
    std::string sql;
    for (const std::string& call :
         {"instr(" + a + ", " + b + ")", "instr(" + a + "||" + b + ", " + b + ")",
          "replace(" + a + ", " + b + ", " + c + ")",
          "replace(" + b + "||" + a + "||" + b + ", " + b + ", " + c + ")", a + " LIKE " + b,
          a + " LIKE " + b + " ESCAPE 'b'", a + " GLOB " + b,
          "replace(" + a + ", 'a', 'b') LIKE " + a, "trim(" + a + ", " + b + ")",
          "ltrim(" + a + ", " + b + ")", "rtrim(" + a + ", " + b + ")", "trim(" + a + ")"}) {
      sql += (sql.empty() ? "SELECT " : ", ") + ("typeof(" + call + "), hex(" + call + ")");
    }
    CAPTURE(sql);
    CHECK(shown(ask(engine, sql)) == shown(oracle.run(sql)));
  }
}
