// SPDX-License-Identifier: Apache-2.0
// Messages as in PostgreSQL's documentation, "Message Flow" and "Message Formats".
#include <doctest/doctest.h>

#include "tracing/sql.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

using Postgresql = WireOf<PostgresqlRequest>;

std::string number(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}
std::string untyped(const std::string& body) {
  return number(static_cast<std::uint32_t>(body.size() + 4)) + body;
}
std::string message(char type, const std::string& body = "") {
  return type + untyped(body);
}
std::string z(const std::string& text) {
  return text + '\0';
}
std::string query(const std::string& text) {
  return message('Q', z(text));
}
std::string parse(const std::string& name, const std::string& text) {
  return message('P', z(name) + z(text) + std::string(2, '\0'));
}
std::string bind(const std::string& name) {
  return message('B', z("") + z(name) + std::string(6, '\0'));
}
std::string execute() {
  return message('E', z("") + number(0));
}
std::string sync() {
  return message('S');
}
std::string done(const std::string& tag) {
  return message('C', z(tag));
}
std::string ready(char state = 'I') {
  return message('Z', std::string(1, state));
}
std::string error(const std::string& code, const std::string& text) {
  return message('E', "S" + z("ERROR") + "C" + z(code) + "M" + z(text) + '\0');
}
std::string row() {
  return message('D', std::string("\0\1", 2) + number(1) + "7");
}
const std::string parsed = message('1');
const std::string bound = message('2');

void connect(Postgresql& wire) {
  wire.client(untyped(number(196608) + z("user") + z("anna") + z("database") + z("shop") + '\0'));
  wire.server(message('R', number(3)));
  wire.client(message('p', z("s3cret-word")));
  wire.server(message('R', number(0)) + message('S', z("server_version") + z("15.3")) +
              message('K', number(7) + number(8)) + ready());
}

}  // namespace

TEST_CASE("no literal of a statement is kept where the operator says so") {
  Postgresql wire(true, {.postgresql = {.redact_literals = true}});
  connect(wire);
  wire.client(query("SELECT name FROM users WHERE mail = 'joe@example.org' AND id = 42"));
  wire.server(done("SELECT 0") + ready());
  wire.server(message('A', number(7) + z("news") + z("joe@example.org")));
  REQUIRE(wire.records.size() == 3);
  CHECK(wire.records[1].query == "SELECT name FROM users WHERE mail = ? AND id = ?");
  CHECK(wire.records[1].query == wire.records[1].fingerprint);
  CHECK(wire.records[2].query.find("joe") == std::string::npos);
}

TEST_CASE("a connection's start and a simple query become records") {
  Postgresql wire;
  connect(wire);
  wire.client(query("SELECT name FROM users WHERE id = 42 -- who"));
  wire.server(message('T', std::string(2, '\0')) + row() + row());
  wire.server(done("SELECT 2") + ready());
  REQUIRE(wire.records.size() == 2);
  CHECK(wire.records[0].operation == "CONNECT");
  CHECK(wire.records[0].error == "");
  const PostgresqlRequest& r = wire.records[1];
  CHECK(r.role == "server");
  CHECK(r.operation == "SELECT");
  CHECK(r.query == "SELECT name FROM users WHERE id = 42 -- who");
  CHECK(r.fingerprint == "SELECT name FROM users WHERE id = ?");
  CHECK(r.user == "anna");
  CHECK(r.database == "shop");
  CHECK(r.rows == 2);
  CHECK(r.command_tag == "SELECT 2");
  CHECK(r.status == "");
  CHECK(r.error == "");
  CHECK(r.latency.ns == 2 * ms);
  for (const auto& record : wire.records) CHECK(record.query.find("s3cret") == std::string::npos);
}

TEST_CASE("a refused login and a failed query tell their SQLSTATE") {
  Postgresql wire;
  SUBCASE("login") {
    wire.client(untyped(number(196608) + z("user") + z("anna") + '\0'));
    wire.server(error("28P01", "password authentication failed for user \"anna\""));
    wire.server_fin();
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].operation == "CONNECT");
    CHECK(wire.records[0].database == "anna");
    CHECK(wire.records[0].status == "28P01");
    CHECK(wire.records[0].error == "");
  }
  SUBCASE("query") {
    connect(wire);
    wire.client(query("SELEC 1"));
    wire.server(error("42601", "syntax error at or near \"SELEC\"") + ready());
    REQUIRE(wire.records.size() == 2);
    CHECK(wire.records[1].status == "42601");
    CHECK(wire.records[1].error_message == "syntax error at or near \"SELEC\"");
  }
}

TEST_CASE("a prepared statement is known by its name, and each run is a record") {
  Postgresql wire;
  connect(wire);
  wire.client(parse("get", "SELECT $1::int") + message('D', "S" + z("get")) + sync());
  wire.server(parsed + message('t', std::string("\0\1", 2) + number(23)) +
              message('T', std::string(2, '\0')) + ready());
  for (int i = 0; i < 2; ++i) {
    wire.client(bind("get") + execute() + sync());
    wire.server(bound + row() + done("SELECT 1") + ready());
  }
  wire.client(message('C', "S" + z("get")) + sync());
  wire.server(message('3') + ready());
  wire.client(bind("get") + execute() + sync());
  wire.server(error("26000", "prepared statement \"get\" does not exist") + ready());
  REQUIRE(wire.records.size() == 6);
  CHECK(wire.records[1].operation == "PREPARE");
  CHECK(wire.records[1].query == "SELECT $1::int");
  for (int i : {2, 3}) {
    CHECK(wire.records[i].operation == "SELECT");
    CHECK(wire.records[i].query == "SELECT $1::int");
    CHECK(wire.records[i].statement == "get");
    CHECK(wire.records[i].rows == 1);
  }
  CHECK(wire.records[4].operation == "CLOSE");
  CHECK(wire.records[5].query == "");
  CHECK(wire.records[5].status == "26000");
}

TEST_CASE("in a pipeline an error costs the statements up to Sync, and none behind it") {
  Postgresql wire;
  connect(wire);
  const auto statement = [](const std::string& text) {
    return parse("", text) + bind("") + execute();
  };
  SUBCASE("the error comes after all was sent") {
    wire.client(statement("SELECT 1") + statement("SELECT x") + statement("SELECT 3") + sync() +
                statement("SELECT 4") + sync());
    wire.server(parsed + bound + done("SELECT 1") + error("42703", "no x") + ready() + parsed +
                bound + done("SELECT 4") + ready());
  }
  SUBCASE("the error comes before the rest was sent") {
    wire.client(statement("SELECT 1") + statement("SELECT x"));
    wire.server(parsed + bound + done("SELECT 1") + error("42703", "no x"));
    wire.client(statement("SELECT 3") + sync() + statement("SELECT 4") + sync());
    wire.server(ready() + parsed + bound + done("SELECT 4") + ready());
  }
  REQUIRE(wire.records.size() == 5);
  CHECK(wire.records[1].command_tag == "SELECT 1");
  CHECK(wire.records[2].status == "42703");
  CHECK(wire.records[2].error == "");
  CHECK(wire.records[3].query == "SELECT 3");
  CHECK(wire.records[3].error == "aborted");
  CHECK(wire.records[4].query == "SELECT 4");
  CHECK(wire.records[4].command_tag == "SELECT 4");
}

TEST_CASE("COPY in and out are one record each; notifications take no query's answer") {
  Postgresql wire;
  connect(wire);
  wire.client(query("COPY t FROM STDIN"));
  wire.server(message('G', std::string("\0\0\1\0\0", 5)));
  wire.client(message('d', "1\n") + message('d', "2\n") + message('c'));
  wire.server(message('A', number(7) + z("news") + z("hello")) + done("COPY 2") + ready());
  wire.client(query("COPY t TO STDOUT"));
  wire.server(message('H', std::string("\0\0\1\0\0", 5)) + message('d', "1\n") + message('c') +
              done("COPY 1") + ready());
  wire.client(query("SELECT 1; SELECT 2"));
  wire.server(message('T', std::string(2, '\0')) + row() + done("SELECT 1") +
              message('T', std::string(2, '\0')) + row() + done("SELECT 1") + ready());
  REQUIRE(wire.records.size() == 5);
  CHECK(wire.records[1].operation == "NOTIFICATION");
  CHECK(wire.records[1].query == "NOTIFY news, 'hello'");
  CHECK(wire.records[2].command_tag == "COPY 2");
  CHECK(wire.records[2].request_bytes == query("COPY t FROM STDIN").size() + 2 * 7 + 5);
  CHECK(wire.records[3].command_tag == "COPY 1");
  CHECK(wire.records[4].rows == 2);
}

TEST_CASE("a cancellation is a record; a request for TLS leads to another protocol or to none") {
  Postgresql wire;
  SUBCASE("cancel") {
    wire.client(untyped(number(80877102) + number(1) + number(2)));
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].operation == "CANCEL");
    CHECK(wire.records[0].error == "");
    CHECK(wire.conversation.finished());
  }
  SUBCASE("refused") {
    wire.client(untyped(number(80877103)));
    wire.server("N");
    connect(wire);
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].operation == "CONNECT");
  }
  SUBCASE("granted") {
    wire.client(untyped(number(80877103)));
    wire.server("S");
    CHECK_FALSE(wire.conversation.finished());
    CHECK(wire.records.empty());
  }
}

TEST_CASE("PostgreSQL found half-way is followed once its client has been seen to wait") {
  Postgresql wire;
  wire.known_from_start = false;
  for (int i = 0; i < 20; ++i) {
    wire.client(query("SELECT 0"));
    wire.server(done("SELECT 0") + ready());
  }
  wire.records.clear();
  wire.client(query("SELECT 1"));
  wire.server(done("SELECT 1") + ready());
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].command_tag == "SELECT 1");
  CHECK(wire.records[0].role == "server");
}

TEST_CASE("PostgreSQL cut into segments at any byte gives the same records") {
  const std::string asked = untyped(number(196608) + z("user") + z("u") + '\0') +
                            query("SELECT 1") + parse("", "SELECT 2") + bind("") + execute() +
                            sync();
  const std::string answered = message('R', number(0)) + ready() + done("SELECT 1") + ready() +
                               parsed + bound + row() + done("SELECT 2") + ready();
  for (std::size_t split = 1; split < asked.size(); ++split) {
    CAPTURE(split);
    Postgresql wire;
    wire.client(asked.substr(0, split));
    wire.client(asked.substr(split));
    const std::size_t at = split % answered.size();
    wire.server(answered.substr(0, at));
    wire.server(answered.substr(at));
    REQUIRE(wire.records.size() == 3);
    REQUIRE(wire.records[1].command_tag == "SELECT 1");
    REQUIRE(wire.records[2].query == "SELECT 2");
    REQUIRE(wire.records[2].rows == 1);
  }
}

TEST_CASE("lost events never give a wrong pair of PostgreSQL") {
  std::mt19937 random(13);
  std::size_t asked[3] = {};
  std::size_t whole[3] = {};
  std::size_t wrong = 0;
  while (asked[0] + asked[1] + asked[2] < 200'000) {
    const Habit habit = static_cast<Habit>(random() % 3);
    const unsigned requests = 1 + random() % 600;
    const unsigned loss = random() % 4 == 0 ? 500 : 10 + random() % 100;  // up to 5 %
    Postgresql wire(random() % 2 == 0);
    wire.client(untyped(number(196608) + z("user") + z("u") + '\0'));
    wire.server(ready());
    const unsigned kind = random() % 3;
    converse(
        wire, random, habit, requests, loss,
        [kind](unsigned id) {
          const std::string text = "SELECT " + std::to_string(id);
          const std::string name = "s" + std::to_string(id % 4);
          return kind == 0   ? query(text)
                 : kind == 1 ? parse("", text) + bind("") + execute() + sync()
                             : message('C', "S" + z(name)) + parse(name, text) + bind(name) +
                                   execute() + sync();
        },
        [kind](unsigned id) {
          return (kind == 0   ? ""
                  : kind == 1 ? parsed + bound
                              : message('3') + parsed + bound) +
                 row() + done("SELECT " + std::to_string(id)) + ready();
        });
    asked[static_cast<int>(habit)] += requests;
    for (const PostgresqlRequest& r : wire.records) {
      if (!r.error.empty() || r.operation == "CONNECT" || r.query_truncated) continue;
      if (r.query.empty()) continue;  // its preparation was lost
      ++whole[static_cast<int>(habit)];
      if (r.query != r.command_tag) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(whole[0] > asked[0] / 2);
  CHECK(whole[1] > asked[1] / 4);
  MESSAGE("whole of asked: singly ", whole[0], "/", asked[0], ", in turns ", whole[1], "/",
          asked[1], ", streaming ", whole[2], "/", asked[2]);
}

TEST_CASE("a fingerprint has no literals, and a text no passwords") {
  struct {
    SqlDialect dialect;
    const char* sql;
    const char* fingerprint;
    const char* text;
  } const table[] = {
      {SqlDialect::postgresql,
       "select a,b from t where x='it''s' and y in (1, 2,3) /* c */ limit 5",
       "select a,b from t where x=? and y in (?) limit ?", nullptr},
      {SqlDialect::postgresql, "SELECT E'a\\'b', $$x'y$$, $q$z$q$, $1, \"Col'umn\", 1.5e-3, t1.c2",
       "SELECT ?, $1, \"Col'umn\", ?, t1.c2", nullptr},
      {SqlDialect::postgresql, "INSERT INTO t VALUES (1,'a'),(2,'b')",
       "INSERT INTO t VALUES (?),(?)", nullptr},
      {SqlDialect::mysql, "SELECT \"text\", `col`, 'it\\'s', 0xff # end\n FROM t",
       "SELECT ?, `col`, ? FROM t", nullptr},
      {SqlDialect::postgresql, "ALTER ROLE anna WITH PASSWORD 's3cret' VALID UNTIL 'x'", nullptr,
       "ALTER ROLE anna WITH PASSWORD '<redacted>' VALID UNTIL '<redacted>'"},
      {SqlDialect::mysql, "CREATE USER 'anna'@'%' IDENTIFIED BY 's3cret'", nullptr,
       "CREATE USER 'anna'@'%' IDENTIFIED BY '<redacted>'"},
      {SqlDialect::mysql, "SET PASSWORD FOR 'anna' = PASSWORD('s3cret')", nullptr,
       "SET PASSWORD FOR '<redacted>' = PASSWORD('<redacted>')"},
      {SqlDialect::mysql, "SELECT 5--3, 1 -- end", "SELECT ?--?", nullptr},
      {SqlDialect::mysql, "/*!50001 SET PASSWORD = 's3cret' */ /* 'c' */", "SET PASSWORD = ?",
       "/*!50001 SET PASSWORD = '<redacted>' */ /* 'c' */"},
      {SqlDialect::mysql, "/*M!100100 SELECT 1 */", "SELECT ?", nullptr},
      {SqlDialect::postgresql, "SELECT 'open", "SELECT ?", "SELECT 'open"},
      {SqlDialect::postgresql, "", "", ""},
  };
  for (const auto& row : table) {
    CAPTURE(row.sql);
    const SqlText read = read_sql(row.sql, row.dialect, true);
    if (row.fingerprint) CHECK(read.fingerprint == row.fingerprint);
    CHECK(read.text == (row.text ? row.text : row.sql));
    CHECK(read_sql(row.sql, row.dialect, false).text == row.sql);
  }
}

}  // namespace trivet::tracing
