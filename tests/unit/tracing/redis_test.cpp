// SPDX-License-Identifier: Apache-2.0
// Bytes as in the RESP specification of redis.io and its page on pub/sub.
#include <doctest/doctest.h>

#include "wire.h"

namespace trivet::tracing {
namespace {

using Redis = WireOf<RedisRequest>;

std::string command(const std::vector<std::string>& words) {
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return bytes;
}
std::string bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

}  // namespace

TEST_CASE("a command and its reply become a record with its columns") {
  Redis wire;
  wire.client("*2\r\n$4\r\nLLEN\r\n$6\r\nmylist\r\n");
  wire.server(":48293\r\n");
  REQUIRE(wire.records.size() == 1);
  const RedisRequest& r = wire.records[0];
  CHECK(r.role == "server");
  CHECK(r.command == "LLEN");
  CHECK(r.arguments == std::vector<std::string>{"mylist"});
  CHECK(r.response == "48293");
  CHECK(r.status == "");
  CHECK(r.error == "");
  CHECK(r.request_bytes == 26);
  CHECK(r.response_bytes == 8);
  CHECK(r.latency.ns == 1 * ms);
}

TEST_CASE("every type of RESP2 and RESP3 is read as one reply") {
  struct {
    const char* bytes;
    const char* text;
  } const table[] = {
      {"+OK\r\n", "OK"},
      {"-ERR unknown command 'asdf'\r\n", "ERR unknown command 'asdf'"},
      {":+7\r\n", "+7"},
      {"$5\r\nhello\r\n", "hello"},
      {"$0\r\n\r\n", ""},
      {"$-1\r\n", "(nil)"},
      {"*0\r\n", "[]"},
      {"*-1\r\n", "(nil)"},
      {"*2\r\n$5\r\nhello\r\n$5\r\nworld\r\n", "[hello, world]"},
      {"*2\r\n*3\r\n:1\r\n:2\r\n:3\r\n*2\r\n+Hello\r\n-World\r\n", "[[1, 2, 3], [Hello, World]]"},
      {"*3\r\n$5\r\nhello\r\n$-1\r\n*0\r\n", "[hello, (nil), []]"},
      {"_\r\n", "(nil)"},
      {"#t\r\n", "t"},
      {",1.23\r\n", "1.23"},
      {"(3492890328409238509324850943850943825024385\r\n",
       "3492890328409238509324850943850943825024385"},
      {"!21\r\nSYNTAX invalid syntax\r\n", "SYNTAX invalid syntax"},
      {"=15\r\ntxt:Some string\r\n", "txt:Some string"},
      {"%2\r\n+first\r\n:1\r\n+second\r\n:2\r\n", "[first, 1, second, 2]"},
      {"~3\r\n+a\r\n+b\r\n+c\r\n", "[a, b, c]"},
      {"|1\r\n+key-popularity\r\n%2\r\n$1\r\na\r\n,0.1923\r\n$1\r\nb\r\n,0.0012\r\n*2\r\n:"
       "2039123\r\n"
       ":9543892\r\n",
       "[key-popularity, [a, 0.1923, b, 0.0012]], [2039123, 9543892]"},
  };
  for (const auto& row : table) {
    CAPTURE(row.bytes);
    for (std::size_t step : {std::size_t{1}, std::size_t{3}, std::string_view(row.bytes).size()}) {
      Redis wire;
      wire.client(command({"GET", "a"}) + command({"PING"}));
      const std::string bytes = std::string(row.bytes) + "+PONG\r\n";
      for (std::size_t at = 0; at < bytes.size(); at += step) wire.server(bytes.substr(at, step));
      REQUIRE(wire.records.size() == 2);
      CHECK(wire.records[0].response == row.text);
      CHECK(wire.records[1].response == "PONG");
      CHECK(wire.records[0].response_bytes == std::string_view(row.bytes).size());
    }
  }
}

TEST_CASE("an error reply names its kind") {
  Redis wire;
  wire.client(command({"lpush", "text", "x"}));
  wire.server("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].command == "LPUSH");
  CHECK(wire.records[0].status == "WRONGTYPE");
  CHECK(wire.records[0].error == "");
}

TEST_CASE("a line that a person types is a command once its answer is Redis's") {
  Redis wire;
  wire.client("PING\r\n");
  wire.server("+PONG\r\n");
  wire.client("set name \"two words\"\n");
  wire.server("+OK\r\n");
  REQUIRE(wire.records.size() == 2);
  CHECK(wire.records[0].command == "PING");
  CHECK(wire.records[1].arguments == std::vector<std::string>{"name", "two words"});
  Redis other;  // NATS
  other.client("PING\r\n");
  other.server("PONG\r\n");
  CHECK(other.conversation.finished());
}

TEST_CASE("published messages are records of their own and take no command's reply") {
  SUBCASE("RESP2") {
    Redis wire;
    wire.client(command({"SUBSCRIBE", "first", "second"}));
    wire.server("*3\r\n$9\r\nsubscribe\r\n$5\r\nfirst\r\n:1\r\n");
    wire.server("*3\r\n$9\r\nsubscribe\r\n$6\r\nsecond\r\n:2\r\n");
    wire.server("*3\r\n$7\r\nmessage\r\n$6\r\nsecond\r\n$5\r\nHello\r\n");
    wire.client(command({"PING"}));
    wire.server("*3\r\n$7\r\nmessage\r\n$6\r\nsecond\r\n$5\r\nagain\r\n");
    wire.server("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    wire.client(command({"UNSUBSCRIBE"}));
    wire.server("*3\r\n$11\r\nunsubscribe\r\n$6\r\nsecond\r\n:1\r\n");
    wire.server("*3\r\n$11\r\nunsubscribe\r\n$5\r\nfirst\r\n:0\r\n");
    wire.client(command({"GET", "x"}));
    wire.server(bulk("1"));
    REQUIRE(wire.records.size() == 6);
    CHECK(wire.records[0].command == "SUBSCRIBE");
    CHECK(wire.records[1].response == "[message, second, Hello]");
    CHECK(wire.records[2].command == "PUSH");
    CHECK(wire.records[3].command == "PING");
    CHECK(wire.records[3].response == "[pong, ]");
    CHECK(wire.records[4].command == "UNSUBSCRIBE");
    CHECK(wire.records[5].response == "1");
  }
  SUBCASE("RESP3, in the midst of other replies") {
    Redis wire;
    wire.client(command({"SUBSCRIBE", "c"}) + command({"GET", "k"}));
    wire.server(">3\r\n+subscribe\r\n+c\r\n:1\r\n>3\r\n+message\r\n+c\r\n+m\r\n" + bulk("v"));
    REQUIRE(wire.records.size() == 3);
    CHECK(wire.records[0].command == "SUBSCRIBE");
    CHECK(wire.records[1].command == "PUSH");
    CHECK(wire.records[2].command == "GET");
    CHECK(wire.records[2].response == "v");
  }
}

TEST_CASE("commands that are told to have no reply have none") {
  Redis wire;
  wire.client(command({"CLIENT", "REPLY", "SKIP"}) + command({"SET", "a", "1"}) +
              command({"GET", "a"}));
  wire.server(bulk("1"));
  wire.client(command({"CLIENT", "REPLY", "OFF"}) + command({"SET", "a", "2"}) +
              command({"CLIENT", "REPLY", "ON"}) + command({"GET", "a"}));
  wire.server("+OK\r\n" + bulk("2"));
  REQUIRE(wire.records.size() == 7);
  for (const RedisRequest& r : wire.records) {
    CHECK(r.error == "");
    if (r.command == "SET") CHECK(r.response == "");
    if (r.command == "GET") CHECK(r.response_bytes == 7);
  }
}

TEST_CASE("secrets are not kept") {
  Redis wire;
  const std::vector<std::vector<std::string>> commands = {
      {"AUTH", "s3cret"},
      {"auth", "user", "s3cret"},
      {"HELLO", "3", "AUTH", "user", "s3cret", "SETNAME", "x"},
      {"ACL", "SETUSER", "joe", "on", ">s3cret"},
      {"CONFIG", "SET", "maxmemory", "1", "requirepass", "s3cret"},
      {"MIGRATE", "host", "1", "key", "0", "5", "AUTH", "s3cret"},
      {"MIGRATE", "host", "1", "key", "0", "5", "AUTH2", "user", "s3cret"}};
  for (const auto& words : commands) {
    wire.client(command(words));
    wire.server("+OK\r\n");
  }
  REQUIRE(wire.records.size() == commands.size());
  for (const RedisRequest& r : wire.records) {
    for (const std::string& argument : r.arguments) CHECK(argument.find("s3cret") == argument.npos);
    CHECK(r.arguments.size() > 0);
  }
  CHECK(wire.records[2].arguments.back() == "x");
}

TEST_CASE("texts are kept up to the limit, and bytes that did not come up cost no pair") {
  Redis wire(true, {.redis = {.text_limit = 8}});
  wire.client(command({"SET", "k", std::string(100, 'v')}));
  wire.server("+OK\r\n");
  wire.client(command({"GET", "k"}));
  wire.unseen = 90;
  wire.server("$100\r\nvvvvv");
  wire.server("vvvvv\r\n");
  wire.client(command({"PING"}));
  wire.server("+PONG\r\n");
  REQUIRE(wire.records.size() == 3);
  CHECK(wire.records[0].arguments_truncated);
  CHECK(wire.records[1].response == "vvvvv");
  CHECK(wire.records[1].response_truncated);
  CHECK(wire.records[1].response_bytes == 108);
  CHECK(wire.records[2].response == "PONG");
  CHECK(wire.counts.gaps == decltype(wire.counts.gaps){});
}

TEST_CASE("the database is known from the last SELECT") {
  Redis wire;
  wire.client(command({"SELECT", "3"}));
  wire.server("+OK\r\n");
  wire.client(command({"GET", "a"}));
  wire.server("$-1\r\n");
  wire.client(command({"SELECT", "99"}));
  wire.server("-ERR DB index is out of range\r\n");
  wire.client(command({"GET", "a"}));
  wire.server("$-1\r\n");
  REQUIRE(wire.records.size() == 4);
  CHECK(wire.records[1].database == 3u);
  CHECK(wire.records[3].database == 3u);
}

TEST_CASE("a reply found half-way is not taken for a command") {
  Redis wire;
  wire.known_from_start = false;
  wire.server("*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  for (int i = 0; i < 20; ++i) {
    wire.client(command({"GET", "k" + std::to_string(i)}));
    wire.server(bulk("v"));
  }
  // Once the client has been seen to wait for its answers.
  REQUIRE(wire.records.size() >= 3);
  CHECK(wire.records[0].role == "server");
  CHECK(wire.records.back().arguments[0] == "k19");
  CHECK(wire.records[0].response == "v");
}

TEST_CASE(
    "lost events never give a wrong pair of Redis, and a client with turns is followed again") {
  std::mt19937 random(11);
  std::size_t asked[3] = {};
  std::size_t whole[3] = {};
  std::size_t wrong = 0;
  while (asked[0] + asked[1] + asked[2] < 300'000) {
    const Habit habit = static_cast<Habit>(random() % 3);
    const unsigned requests = 1 + random() % 600;
    const unsigned loss = random() % 4 == 0 ? 500 : 10 + random() % 100;  // up to 5 %
    Redis wire(random() % 2 == 0);
    // An array that looks like a command, and a message that looks pushed, must fool nobody.
    converse(
        wire, random, habit, requests, loss,
        [](unsigned id) {
          return command({"GET", std::to_string(id)});
        },
        [](unsigned id) {
          return id % 3 == 0 ? "*3\r\n$3\r\nGET\r\n$1\r\nx\r\n" + bulk(std::to_string(id))
                             : bulk(std::to_string(id));
        });
    asked[static_cast<int>(habit)] += requests;
    for (const RedisRequest& r : wire.records) {
      if (!r.error.empty() || r.response_truncated || r.arguments_truncated) continue;
      ++whole[static_cast<int>(habit)];
      const std::string id = r.arguments.size() == 1 ? r.arguments[0] : "none";
      if (r.response != id && r.response != "[GET, x, " + id + "]") ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(whole[0] > asked[0] / 2);
  CHECK(whole[1] > asked[1] / 4);
  MESSAGE("whole of asked: singly ", whole[0], "/", asked[0], ", in turns ", whole[1], "/",
          asked[1], ", streaming ", whole[2], "/", asked[2]);
}

}  // namespace trivet::tracing
