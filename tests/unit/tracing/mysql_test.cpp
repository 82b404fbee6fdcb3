// SPDX-License-Identifier: Apache-2.0
// Packets as in MySQL's "Client/Server Protocol" and MariaDB's documentation of its own additions.
#include <doctest/doctest.h>

#include <variant>

#include "trivet/records/tls_handshake.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

using Mysql = WireOf<MysqlRequest>;

constexpr std::uint32_t with_db = 1u << 3, compress = 1u << 5, protocol_41 = 1u << 9,
                        ssl = 1u << 11, secure = 1u << 15, deprecate_eof = 1u << 24;

std::string number(std::uint64_t value, unsigned size) {
  std::string bytes;
  for (unsigned i = 0; i < size; ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}
std::string z(const std::string& text) {
  return text + '\0';
}
std::string length(std::uint64_t value) {
  return value < 0xfb ? number(value, 1) : "\xfc" + number(value, 2);
}
std::string packet(unsigned sequence, const std::string& payload) {
  return number(payload.size(), 3) + number(sequence, 1) + payload;
}
// Packets of one answer, numbered through.
std::string answer(const std::vector<std::string>& payloads, unsigned sequence = 1) {
  std::string bytes;
  for (const std::string& payload : payloads) bytes += packet(sequence++, payload);
  return bytes;
}
std::string command(char code, const std::string& arguments = "") {
  return packet(0, code + arguments);
}
std::string query(const std::string& text) {
  return command(3, text);
}
std::string execute(std::uint32_t id, char flags = 0) {
  return command(0x17, number(id, 4) + flags + number(1, 4));
}

constexpr unsigned more_results = 8, cursor_exists = 0x40, autocommit = 2;
std::string ok(unsigned affected = 0, unsigned status = autocommit, char mark = '\0') {
  return mark + length(affected) + length(0) + number(status, 2) + number(0, 2);
}
std::string eof(unsigned status = autocommit) {
  return "\xfe" + number(0, 2) + number(status, 2);
}
std::string error(unsigned code, const std::string& state, const std::string& text) {
  return "\xff" + number(code, 2) + "#" + state + text;
}
std::string definition() {
  return length(3) + "def" + std::string(20, '\1');
}
std::string row(const std::string& text) {
  return length(text.size()) + text;
}
std::vector<std::string> result(const std::vector<std::string>& rows, bool deprecated = false,
                                unsigned status = autocommit) {
  std::vector<std::string> payloads = {length(1), definition()};
  if (!deprecated) payloads.push_back(eof());
  for (const std::string& text : rows) payloads.push_back(row(text));
  payloads.push_back(deprecated ? ok(0, status, '\xfe') : eof(status));
  return payloads;
}
std::vector<std::string> prepared(std::uint32_t id, unsigned parameters, unsigned columns,
                                  bool deprecated = false) {
  std::vector<std::string> payloads = {'\0' + number(id, 4) + number(columns, 2) +
                                       number(parameters, 2) + '\0' + number(0, 2)};
  for (unsigned count : {parameters, columns}) {
    for (unsigned i = 0; i < count; ++i) payloads.push_back(definition());
    if (count > 0 && !deprecated) payloads.push_back(eof());
  }
  return payloads;
}
std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string greeting(std::uint32_t capabilities = 0xffffffff) {
  return packet(0, "\x0a" + z("5.5.5-10.11.6-MariaDB") + number(7, 4) + z("abcdefgh") +
                       number(capabilities, 2) + "\x2d" + number(2, 2) +
                       number(capabilities >> 16, 2) + number(21, 1) + std::string(10, '\0') +
                       z("ijklmnopqrst") + z("mysql_native_password"));
}
std::string login(std::uint32_t capabilities = with_db | protocol_41 | secure) {
  return packet(1, number(capabilities, 4) + number(1 << 24, 4) + "\x2d" + std::string(23, '\0') +
                       z("anna") + number(11, 1) + "s3cret-word" + z("shop"));
}
void connect(Mysql& wire, std::uint32_t more = 0) {
  wire.server(greeting());
  wire.client(login(with_db | protocol_41 | secure | more));
  wire.server(packet(2, ok()));
}

// A connection that was there before: its client has been seen to wait for answers.
void join(Mysql& wire, bool compressed = false) {
  const auto framed = [&](const std::string& bytes) {
    return compressed ? number(bytes.size(), 3) + std::string(4, '\0') + bytes : bytes;
  };
  for (int i = 0; i < 20; ++i) {
    wire.client(framed(query("SELECT 'earlier'")));
    wire.server(framed(packet(1, ok())));
  }
  wire.records.clear();
}

}  // namespace

TEST_CASE("a MySQL connection's start and a query become records") {
  Mysql wire;
  connect(wire);
  wire.client(query("SELECT name FROM users WHERE id = 42 # who"));
  wire.server(answer(result({"a", "b"})));
  wire.client(command(0x0e));
  wire.server(packet(1, ok()));
  wire.client(command(1));
  REQUIRE(wire.records.size() == 4);
  CHECK(wire.records[0].operation == "CONNECT");
  CHECK(wire.records[0].error == "");
  CHECK_FALSE(wire.records[0].command);
  const MysqlRequest& r = wire.records[1];
  CHECK(r.role == "server");
  CHECK(r.operation == "SELECT");
  CHECK(r.command == 3);
  CHECK(r.query == "SELECT name FROM users WHERE id = 42 # who");
  CHECK(r.fingerprint == "SELECT name FROM users WHERE id = ?");
  CHECK(r.user == "anna");
  CHECK(r.database == "shop");
  CHECK(r.server_version == "10.11.6-MariaDB");
  CHECK(r.rows == 2);
  CHECK(r.status == "");
  CHECK(r.error == "");
  CHECK(r.latency.ns == ms);
  CHECK(r.request_bytes == query("SELECT name FROM users WHERE id = 42 # who").size());
  CHECK(r.response_bytes == answer(result({"a", "b"})).size());
  CHECK(wire.records[2].operation == "PING");
  CHECK(wire.records[3].operation == "QUIT");
  CHECK(wire.records[3].error == "");
  for (const auto& record : wire.records) CHECK(record.query.find("s3cret") == std::string::npos);
}

TEST_CASE("MySQL's errors have their number, SQLSTATE and message") {
  Mysql wire;
  SUBCASE("in place of a greeting") {
    wire.server(packet(0, "\xff" + number(1040, 2) + "Too many connections"));
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].operation == "CONNECT");
    CHECK(wire.records[0].role == "server");
    CHECK(wire.records[0].status == "1040");
    CHECK(wire.records[0].error_message == "Too many connections");
  }
  SUBCASE("a refused login") {
    wire.server(greeting());
    wire.client(login());
    wire.server(packet(2, error(1045, "28000", "Access denied for user 'anna'")));
    wire.server_fin();
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].status == "1045");
    CHECK(wire.records[0].sqlstate == "28000");
    CHECK(wire.records[0].error_message == "Access denied for user 'anna'");
    CHECK(wire.records[0].error == "");
  }
  SUBCASE("of a query, behind progress reports and within rows") {
    connect(wire);
    wire.client(query("ALTER TABLE t ENGINE=x"));
    wire.server(
        answer({"\xff" + number(0xffff, 2) + std::string("\1\1\1\0\0\0", 6) + row("copying"),
                error(1286, "42000", "Unknown storage engine 'x'")}));
    wire.client(query("SELECT a"));
    wire.server(answer({length(1), definition(), eof(), row("1"), error(1317, "70100", "killed")}));
    REQUIRE(wire.records.size() == 3);
    CHECK(wire.records[1].status == "1286");
    CHECK(wire.records[2].status == "1317");
    CHECK(wire.records[2].rows == 1);
  }
  SUBCASE("unasked, as the server ends the connection") {
    connect(wire);
    wire.server(packet(0, error(1927, "70100", "Connection was killed")));
    wire.client(query("SELECT 1"));
    wire.server(answer(result({"1"})));
    REQUIRE(wire.records.size() == 2);
    CHECK(wire.records[1].status == "");
  }
}

TEST_CASE("several results of MySQL are one record, with and without the packets behind columns") {
  for (const bool deprecated : {false, true}) {
    for (const bool from_start : {true, false}) {
      CAPTURE(deprecated);
      CAPTURE(from_start);
      Mysql wire;
      wire.known_from_start = from_start;
      if (from_start) {
        connect(wire, deprecated ? deprecate_eof : 0);
      } else {
        join(wire);
      }
      wire.client(query("SELECT 1; UPDATE t SET a=1; SELECT 2"));
      wire.server(answer(result({"1"}, deprecated, more_results) +
                         std::vector{ok(3, more_results)} + result({}, deprecated)));
      wire.client(query("DELETE FROM t"));
      wire.server(packet(1, ok(300)));
      const std::size_t first = from_start ? 1 : 0;
      REQUIRE(wire.records.size() == first + 2);
      CHECK(wire.records[first].rows == 1);
      CHECK(wire.records[first].affected_rows == 3);
      CHECK(wire.records[first].error == "");
      CHECK(wire.records[first + 1].affected_rows == 300);
    }
  }
}

TEST_CASE("a prepared statement of MySQL is known by its id, and each run is a record") {
  for (const bool deprecated : {false, true}) {
    for (const bool from_start : {true, false}) {
      CAPTURE(deprecated);
      CAPTURE(from_start);
      Mysql wire;
      wire.known_from_start = from_start;
      if (from_start) {
        connect(wire, deprecated ? deprecate_eof : 0);
      } else {
        join(wire);
      }
      wire.client(command(0x16, "SELECT ?, 'a'"));
      wire.server(answer(prepared(5, 1, 1, deprecated)));
      wire.client(command(0x16, "DELETE FROM t WHERE a = ?"));
      wire.server(answer(prepared(6, 1, 0, deprecated)));
      for (int i = 0; i < 2; ++i) {
        wire.client(execute(5));
        wire.server(answer(result({"1", "2"}, deprecated)));
      }
      wire.client(execute(6));
      wire.server(packet(1, ok(4)));
      wire.client(command(0x19, number(5, 4)));
      wire.client(execute(5));
      wire.server(packet(1, error(1243, "HY000", "Unknown prepared statement handler")));
      std::vector<MysqlRequest> told(wire.records.begin() + (from_start ? 1 : 0),
                                     wire.records.end());
      REQUIRE(told.size() == 7);
      CHECK(told[0].operation == "PREPARE");
      CHECK(told[0].query == "SELECT ?, 'a'");
      CHECK(told[0].statement == 5);
      for (int i : {2, 3}) {
        CHECK(told[i].operation == "SELECT");
        CHECK(told[i].query == "SELECT ?, 'a'");
        CHECK(told[i].fingerprint == "SELECT ?");
        CHECK(told[i].statement == 5);
        CHECK(told[i].rows == 2);
      }
      CHECK(told[4].operation == "DELETE");
      CHECK(told[4].affected_rows == 4);
      CHECK(told[5].operation == "CLOSE");
      CHECK(told[6].operation == "EXECUTE");
      CHECK(told[6].query == "");
      CHECK(told[6].status == "1243");
      for (const MysqlRequest& r : told) CHECK(r.error == "");
    }
  }
}

TEST_CASE("MariaDB's run of a statement sent behind its preparation has its text") {
  Mysql wire;
  connect(wire);
  wire.client(command(0x16, "SELECT ?") + execute(0xffffffff));
  wire.server(answer(prepared(1, 1, 1)) + answer(result({"7"})));
  REQUIRE(wire.records.size() == 3);
  CHECK(wire.records[1].operation == "PREPARE");
  CHECK(wire.records[2].query == "SELECT ?");
  CHECK(wire.records[2].rows == 1);
}

TEST_CASE("rows of a cursor stay at the server until they are fetched") {
  Mysql wire;
  connect(wire);
  wire.client(command(0x16, "SELECT a FROM t"));
  wire.server(answer(prepared(1, 0, 1)));
  wire.client(execute(1, 1));
  wire.server(answer({length(1), definition(), eof(autocommit | cursor_exists)}));
  wire.client(command(0x1c, number(1, 4) + number(2, 4)));
  wire.server(answer({row("1"), row("2"), eof(autocommit | cursor_exists)}));
  REQUIRE(wire.records.size() == 4);
  CHECK(wire.records[2].rows == 0);
  CHECK(wire.records[3].operation == "FETCH");
  CHECK(wire.records[3].query == "SELECT a FROM t");
  CHECK(wire.records[3].rows == 2);
}

TEST_CASE("a file that LOAD DATA LOCAL asks for is part of its statement") {
  Mysql wire;
  connect(wire);
  wire.client(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
  wire.server(packet(1,
                     "\xfb"
                     "f"));
  std::string file;
  for (unsigned i = 0; i < 300; ++i) file += packet(2 + i, "1\n");  // numbers come to 0 again
  wire.client(file + packet(302, ""));
  wire.server(packet(303, ok(300)));
  wire.client(query("SELECT 1"));
  wire.server(answer(result({"1"})));
  REQUIRE(wire.records.size() == 3);
  CHECK(wire.records[1].affected_rows == 300);
  CHECK(wire.records[1].request_bytes ==
        query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t").size() + file.size() + 4);
  CHECK(wire.records[2].rows == 1);
}

TEST_CASE("a session of MySQL knows its user and database, whoever it was before") {
  Mysql wire;
  connect(wire);
  wire.client(command(0x16, "SELECT 1"));
  wire.server(answer(prepared(1, 0, 1)));
  wire.client(command(2, "warehouse"));
  wire.server(packet(1, ok()));
  wire.client(query("use `lager`;"));
  wire.server(packet(1, ok()));
  wire.client(command(2, "nowhere"));
  wire.server(packet(1, error(1049, "42000", "Unknown database 'nowhere'")));
  wire.client(command(0x11, z("berta") + number(11, 1) + "s3cret-word" + z("office")));
  wire.server(packet(1, "\xfe" + z("mysql_native_password") + z("abcdefghijklmnopqrst")));
  wire.client(packet(2, "s3cret-word"));
  wire.server(packet(3, ok()));
  wire.client(execute(1));
  wire.server(packet(1, error(1243, "HY000", "Unknown prepared statement handler")));
  REQUIRE(wire.records.size() == 7);
  CHECK(wire.records[1].database == "shop");
  CHECK(wire.records[2].database == "warehouse");
  CHECK(wire.records[3].database == "lager");
  CHECK(wire.records[4].database == "lager");
  CHECK(wire.records[5].operation == "CHANGE USER");
  CHECK(wire.records[6].user == "berta");
  CHECK(wire.records[6].database == "office");
  CHECK(wire.records[6].query == "");
  for (const MysqlRequest& r : wire.records) {
    CHECK(r.error == "");
    CHECK(r.query.find("s3cret") == std::string::npos);
  }
}

TEST_CASE("attributes of a query are no part of its text") {
  Mysql wire;
  connect(wire);
  wire.client(query(std::string("\0\1", 2) + "SELECT 1"));
  wire.server(answer(result({"1"})));
  // One text and one number, none of them null.
  wire.client(query(std::string("\2\1\0\1", 4) + number(0xfe, 2) + row("trace") + number(8, 2) +
                    row("span") + row("id") + number(7, 8) + "SELECT 2"));
  wire.server(answer(result({"1"})));
  REQUIRE(wire.records.size() == 3);
  CHECK(wire.records[1].query == "SELECT 1");
  CHECK(wire.records[2].query == "SELECT 2");
}

TEST_CASE("statements and rows beyond 16 MiB are one message each") {
  Mysql wire;
  connect(wire);
  const std::string text = "SELECT '" + std::string(0xffffff + 100, 'x') + "'";
  const std::string payload = "\3" + text;
  const std::string asked =
      packet(0, payload.substr(0, 0xffffff)) + packet(1, payload.substr(0xffffff));
  for (std::size_t at = 0; at < asked.size(); at += 60000) {
    wire.client(std::string_view(asked).substr(at, 60000));
  }
  const std::string big = "\xfe" + number(0xffffff - 9, 8) + std::string(0xffffff - 9, 'y');
  wire.server(answer({length(1), definition(), eof()}, 2));
  const std::string told = packet(5, big) + packet(6, "") + packet(7, eof());
  for (std::size_t at = 0; at < told.size(); at += 60000) {
    wire.server(std::string_view(told).substr(at, 60000));
  }
  REQUIRE(wire.records.size() == 2);
  CHECK(wire.records[1].query == text.substr(0, 4096));
  CHECK(wire.records[1].query_truncated);
  CHECK(wire.records[1].request_bytes == asked.size());
  CHECK(wire.records[1].rows == 1);
  CHECK(wire.records[1].error == "");
  CHECK(wire.conversation.memory() < 65536);
}

TEST_CASE("what comes behind MySQL's request for TLS is a TLS handshake") {
  struct Hellos : Conversation::Listener {
    void on_exchange(AnyRequest any) override {
      if (const auto* r = std::get_if<TlsHandshake>(&any)) names.push_back(r->server_name);
    }
    void on_need(Need) override {}
    std::vector<std::string> names;
  };
  const std::string asks = packet(1, number(protocol_41 | ssl, 4) + std::string(28, '\0'));
  // RFC 8446, 4.1.2 and RFC 6066, 3: a ClientHello with the name "db".
  const std::string name = std::string("\0\0\0\7\0\5\0\0\2", 9) + "db";
  const std::string hello = "\3\3" + std::string(33, '\0') + std::string("\0\2\x13\1\1\0", 6) +
                            std::string("\0\x0b", 2) + name;
  const std::string record = std::string("\x16\3\1\0", 4) + number(hello.size() + 4, 1) +
                             std::string("\1\0\0", 3) + number(hello.size(), 1) + hello;
  for (const bool together : {false, true}) {
    CAPTURE(together);
    Options options;
    Shared shared;
    Hellos heard;
    Conversation conversation(options, shared, heard);
    std::uint32_t next[2] = {100, 900};
    std::uint64_t now_ns = ms;
    const auto say = [&](unsigned from, const std::string& bytes) {
      conversation.on_segment(from ? Conversation::sent : Conversation::received,
                              {.sequence = next[from],
                               .ack = next[from ^ 1],
                               .time_ns = now_ns += ms,
                               .bytes = bytes,
                               .in_order = true,
                               .first = next[from] == (from ? 900u : 100u),
                               .opening = next[0] == 100 && next[1] == 900,
                               .followed = true});
      next[from] += static_cast<std::uint32_t>(bytes.size());
    };
    say(1, greeting());
    say(0, together ? asks + record : asks);
    if (!together) say(0, record);
    conversation.close("closed");
    CHECK(heard.names == std::vector<std::string>{"db"});
  }
}

TEST_CASE("MySQL's compressed protocol is unpacked, packed and stored, in zlib and zstd") {
  const auto frame = [](unsigned sequence, std::size_t plain, const std::string& content) {
    return number(content.size(), 3) + number(sequence, 1) + number(plain, 3) + content;
  };
  const auto stored = [&](const std::string& plain) { return frame(0, 0, plain); };
  const std::string long_query = query("SELECT '" + std::string(200, 'x') + "'");
  // That query as Python's zlib.compress and as the program zstd pack it.
  const std::string zlib = std::string(
      "\170\234\273\304\300\300\300\034\354\352\343\352\034\242\240\136\061\114\200\072\000\202\162"
      "\140\304",
      25);
  const std::string zstd = std::string(
      "\050\265\057\375\040\326\265\000\000\170\322\000\000\000\003\123\105\114\105\103\124\040\047"
      "\170\047\001\000\104\012\050\001",
      31);
  for (const std::string& packed : {zlib, zstd}) {
    for (const bool from_start : {true, false}) {
      Mysql wire;
      wire.known_from_start = from_start;
      if (from_start) {
        connect(wire, compress);
      } else {
        join(wire, true);
      }
      wire.client(stored(query("SELECT 7")));
      const std::string told = answer(result({"1", "2"}));
      wire.server(stored(told.substr(0, 30)) + stored(told.substr(30)));
      wire.client(frame(0, long_query.size(), packed));
      wire.server(stored(answer(result({"1"}))));
      // What is packed lacks its end.
      wire.client(frame(0, long_query.size() + 1, packed));
      const std::size_t first = from_start ? 1 : 0;
      REQUIRE(wire.records.size() == first + 2);
      CHECK(wire.records[first].query == "SELECT 7");
      CHECK(wire.records[first].rows == 2);
      CHECK(wire.records[first + 1].query == long_query.substr(5));
      CHECK(wire.records[first + 1].request_bytes == long_query.size());
      CHECK_FALSE(wire.conversation.in_step(Party::client));
    }
  }
}

TEST_CASE("MySQL found half-way is followed once its client has been seen to wait") {
  Mysql wire;
  wire.known_from_start = false;
  SUBCASE("behind the end of an answer") {
    wire.server(answer(result({"1"})));
  }
  SUBCASE("within one") {
    wire.server(packet(1, row("1")));
    wire.server(packet(2, eof()));
  }
  SUBCASE("behind OK") {
    wire.server(packet(1, ok()));
  }
  join(wire);
  wire.client(query("SELECT 1"));
  wire.server(answer(result({"1"})));
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].query == "SELECT 1");
  CHECK(wire.records[0].rows == 1);
  CHECK(wire.records[0].role == "server");
  CHECK(wire.records[0].user == "");
}

TEST_CASE("MySQL cut into segments at any byte gives the same records") {
  const std::string asked = query("SELECT 1") + command(0x16, "SELECT 2") + execute(9);
  const std::string answered =
      answer(result({"a"})) + answer(prepared(9, 0, 1)) + answer(result({"b", "c"}));
  const std::string hello = greeting();
  for (std::size_t split = 1; split < asked.size(); ++split) {
    CAPTURE(split);
    Mysql wire;
    wire.server(hello.substr(0, split));
    wire.server(hello.substr(split));
    const std::string in = login();
    wire.client(in.substr(0, split));
    wire.client(in.substr(split));
    wire.server(packet(2, ok()));
    wire.client(asked.substr(0, split));
    wire.client(asked.substr(split));
    const std::size_t at = split % answered.size();
    wire.server(answered.substr(0, at));
    wire.server(answered.substr(at));
    REQUIRE(wire.records.size() == 4);
    REQUIRE(wire.records[1].rows == 1);
    REQUIRE(wire.records[2].operation == "PREPARE");
    REQUIRE(wire.records[3].rows == 2);
  }
}

TEST_CASE("lost events never give a wrong pair of MySQL") {
  std::mt19937 random(17);
  std::size_t asked[3] = {};
  std::size_t whole[3] = {};
  std::size_t wrong = 0;
  while (asked[0] + asked[1] + asked[2] < 200'000) {
    const Habit habit = static_cast<Habit>(random() % 3);
    const unsigned requests = 1 + random() % 600;
    const unsigned loss = random() % 4 == 0 ? 500 : 10 + random() % 100;  // up to 5 %
    Mysql wire(random() % 2 == 0);
    const bool deprecated = random() % 2 == 0;
    connect(wire, deprecated ? deprecate_eof : 0);
    // The number of rows that an answer says it changed, or its error, names the question.
    const unsigned kind = random() % 3;
    converse(
        wire, random, habit, requests, loss,
        [kind](unsigned id) {
          const std::string text = "UPDATE t SET a = " + std::to_string(id);
          return kind == 2 ? command(0x16, text) + execute(id) : query(text);
        },
        [kind, deprecated](unsigned id) {
          return kind == 0   ? answer(std::vector{ok(id)})
                 : kind == 1 ? answer(result({"1"}, deprecated, more_results) + std::vector{ok(id)})
                             : answer(prepared(id, 1, 0, deprecated)) + answer(std::vector{ok(id)});
        });
    asked[static_cast<int>(habit)] += requests;
    for (const MysqlRequest& r : wire.records) {
      if (!r.error.empty() || r.operation != "UPDATE" || r.query_truncated) continue;
      ++whole[static_cast<int>(habit)];
      if (r.query != "UPDATE t SET a = " + std::to_string(r.affected_rows)) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(whole[0] > asked[0] / 2);
  CHECK(whole[1] > asked[1] / 4);
  MESSAGE("whole of asked: singly ", whole[0], "/", asked[0], ", in turns ", whole[1], "/",
          asked[1], ", streaming ", whole[2], "/", asked[2]);
}

}  // namespace trivet::tracing
