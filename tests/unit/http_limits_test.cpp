// SPDX-License-Identifier: Apache-2.0
// The HTTP API with clients that are hostile, slow, too many or without the right.
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "http_served.h"

using namespace trivet;
using namespace trivet::http_test;

namespace {

const std::string kEndless =
    "/v1/query?sql=" +
    encoded(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
// Some 50 bytes a row.
const std::string kEndlessRows =
    "/v1/query?sql=" + encoded(
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                           "SELECT i, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' AS x FROM n");

}  // namespace

TEST_CASE("what is no HTTP, too long or without a host is refused, and the connection ends") {
  Served served;
  struct Row {
    std::string bytes;
    int status;
  };
  const Row rows[] = {
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15), 400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x'), 431},
      {"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n", 413},
      {"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
  };
  for (const auto& row : rows) {
    CAPTURE(row.bytes.substr(0, 40));
    Client client(served.path());
    client.send(row.bytes);
    const auto answer = client.answer();
    CHECK(answer.status == row.status);
    CHECK(answer.json()["error"]["message"].is_string());
    CHECK(client.closed());
  }
  CHECK(served.soon("trivet_api_requests_total{path=\"other\",status=\"400\"} 4"));
}

TEST_CASE("a stream that is not read loses records, is told how many, and delays nobody") {
  constexpr std::uint64_t kRecords = 20'000;
  Served served({.follower = {100, 16 << 20}, .output_bytes = 64 << 10});
  Client slow(served.path());
  slow.get("/v1/stream/alerts");
  REQUIRE(slow.take_head());  // from here on it follows
  for (std::uint64_t i = 0; i < kRecords; ++i) served.add_alert("x", 500);
  CHECK(
      served.get("/v1/query?sql=" + encoded("SELECT count(*) AS n FROM alerts")).lines()[0]["n"] ==
      kRecords);
  served.add_alert("last");
  std::uint64_t seen = 0, dropped = 0;
  std::istringstream lines(slow.chunks_until("\"rule\":\"last\""));
  for (std::string line; std::getline(lines, line);) {
    const auto json = Json::parse(line);
    if (json.contains("dropped")) {
      dropped += json["dropped"].get<std::uint64_t>();
    } else {
      ++seen;
    }
  }
  CHECK(dropped > 0);
  CHECK(seen + dropped == kRecords + 1);
  CHECK(served.tables.dropped() == dropped);
}

TEST_CASE("a query ends at once when its client leaves") {
  Served served({.max_queries = 1});
  for (int i = 0; i < 5; ++i) {
    {
      Client client(served.path());
      client.get(i % 2 == 0 ? kEndless : kEndlessRows);
      // Another one finds the only place taken.
      while (served.get("/v1/query?sql=SELECT+1").status == 200) continue;
    }
    const auto left = std::chrono::steady_clock::now();
    while (served.get("/v1/query?sql=SELECT+1").status != 200) continue;
    CHECK(std::chrono::steady_clock::now() - left < std::chrono::seconds(2));
  }
  CHECK(served.soon("trivet_api_cancelled_queries_total 5"));
}

TEST_CASE("a query whose reader is slow waits, within its time, and no writer waits for it") {
  Served served({.max_queries = 1});
  for (int i = 0; i < 1000; ++i) served.add_alert("before");
  Client slow(served.path());
  slow.get("/v1/query?timeout=1&sql=" + encoded("SELECT * FROM alerts a, alerts b"));
  const auto begin = std::chrono::steady_clock::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  std::chrono::nanoseconds longest{0};
  for (int i = 0; i < 1000; ++i) {
    const auto before = std::chrono::steady_clock::now();
    served.add_alert("meanwhile");
    longest =
        std::max<std::chrono::nanoseconds>(longest, std::chrono::steady_clock::now() - before);
  }
  CHECK(longest < std::chrono::milliseconds(200));
  // Its place is free when its time is over, although nobody has read a byte.
  while (served.get("/v1/query?sql=SELECT+1").status != 200) continue;
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took > std::chrono::milliseconds(800));
  CHECK(took < std::chrono::seconds(5));
  const auto answer = slow.answer();
  CHECK(answer.status == 200);
  CHECK(!answer.whole);  // what it has got is not the end, and it can tell
  CHECK(answer.body.size() < 8 << 20);
  CHECK(answer.lines().back()["error"]["message"].get<std::string>().starts_with(
      "the query took longer than 1 s"));
}

TEST_CASE("an answer that breaks off after its first rows is not taken for whole in any format") {
  Served served;
  // The 300,000th row fails: by then more has come than waits for a client that has got nothing.
  const std::string sql = encoded(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400000) "
      "SELECT i, CASE WHEN i = 300000 THEN json('{') END AS x FROM n");
  for (const char* format : {"jsonl", "json", "csv"}) {
    CAPTURE(format);
    const auto answer = served.get("/v1/query?sql=" + sql + "&format=" + format);
    CHECK(answer.status == 200);
    CHECK(!answer.whole);
    CHECK(answer.body.find("299999") != std::string::npos);
  }
  // One that fails before it has sent anything has a status.
  CHECK(served.get("/v1/query?sql=" + encoded("SELECT json('{')")).status == 400);
}

TEST_CASE("who asks slowly, or not at all, is disconnected") {
  using std::chrono::milliseconds;
  Served served({.request_patience = milliseconds(200), .idle_patience = milliseconds(400)});
  Client silent(served.path());
  Client drips(served.path());
  for (const char* part : {"GET", " / HT", "TP/1.1\r\n", "Host: "}) {
    drips.send(part);
    std::this_thread::sleep_for(milliseconds(30));
  }
  const auto answer = drips.answer();
  CHECK(answer.status == 408);
  CHECK(drips.closed());
  CHECK(silent.closed());
  CHECK(served.soon("trivet_api_timeouts_total 2"));

  Client idle(served.path());
  idle.get("/v1/version");
  CHECK(idle.answer().status == 200);
  CHECK(idle.closed());
  CHECK(served.soon("trivet_api_connections{listener=\"unix\"} 0"));
}

TEST_CASE("who takes nothing of an answer is disconnected, with its query") {
  Served served({.max_queries = 1, .write_patience = std::chrono::milliseconds(200)});
  Client stuck(served.path());
  stuck.get(kEndlessRows);
  CHECK(served.soon("trivet_api_timeouts_total 1"));
  CHECK(served.soon("trivet_api_connections{listener=\"unix\"} 0"));
  while (served.get("/v1/query?sql=SELECT+1").status != 200) continue;
}

TEST_CASE("clients above the limit are turned away with a sentence") {
  Served served({.max_clients = 2});
  Client first(served.path()), second(served.path());
  for (auto* client : {&first, &second}) {
    client->get("/v1/version");
    CHECK(client->answer().status == 200);
  }
  Client third(served.path());
  const auto answer = third.answer();
  CHECK(answer.status == 503);
  CHECK(answer.json()["error"]["message"] == "trivet serves 2 clients here already: close one");
  CHECK(served.soon("trivet_api_refused_total{listener=\"unix\",reason=\"limit\"} 1"));
}

TEST_CASE("a user without the right is refused, a member of the group is not") {
  if (geteuid() != 0) return;  // only root can become somebody else
  struct Row {
    uid_t user;
    gid_t group;
    int status;
  };
  const Row rows[] = {{0, 0, 200}, {12345, 12345, 403}, {12345, 777, 200}, {65534, 65534, 403}};
  Served served({.groups = {{"readers", 777}, {"writers", 778}}});
  REQUIRE(chmod(served.path().c_str(), 0666) == 0);
  REQUIRE(chmod(served.folder.path("").c_str(), 0755) == 0);
  for (const auto& row : rows) {
    CAPTURE(row.user);
    CAPTURE(row.group);
    const pid_t child = fork();
    if (child == 0) {
      if (setgroups(0, nullptr) != 0 || setgid(row.group) != 0 || setuid(row.user) != 0) _exit(9);
      _exit(served.get("/v1/version").status / 100);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == row.status / 100);
  }
}

TEST_CASE("over TCP only who sends the token is answered") {
  Served served({}, true);
  const std::string right = std::string("Authorization: Bearer ") + kToken + "\r\n";
  struct Row {
    std::string fields;
    int status;
  };
  const Row rows[] = {
      {right, 200},
      {std::string("authorization: bearer  ") + kToken + " \r\n", 200},
      {"", 401},
      {"Authorization: Bearer\r\n", 401},
      {"Authorization: Bearer \r\n", 401},
      {std::string("Authorization: Basic ") + kToken + "\r\n", 401},
      {std::string("Authorization: Bearer ") + kToken + kToken + "\r\n", 401},
      {std::string("Authorization: Bearer ") + (kToken + 1) + "\r\n", 401},
  };
  for (const auto& row : rows) {
    CAPTURE(row.fields);
    Client client(served.server->port());
    client.get("/v1/version", row.fields);
    const auto answer = client.answer();
    CHECK(answer.status == row.status);
    if (row.status == 401) {
      CHECK(answer.says("\r\nWWW-Authenticate: Bearer realm=\"trivet\"\r\n"));
      CHECK(client.closed());
    }
  }
  served.server->set_token("another-token-of-some-length");
  Client client(served.server->port());
  client.get("/v1/version", right);
  CHECK(client.answer().status == 401);
}

TEST_CASE("an address that cannot be had is named, with its setting") {
  Served served({}, true);
  const ListenAddress taken{*IpAddress::parse("127.0.0.1"), served.server->port()};
  auto again = ApiServer::start({.address = taken, .token = kToken},
                                {served.tables, served.engine, [] { return Origin{}; },
                                 [] { return std::string("{}"); }, *served.metrics, served.log},
                                {});
  REQUIRE(!again);
  CHECK(again.error().message ==
        "cannot serve the API at " + taken.to_string() +
            ": Address already in use; another program has the port: stop it or set api.listen to "
            "another");
}

TEST_CASE("a server that stops ends its clients, their queries and streams") {
  auto served = std::make_unique<Served>();
  Client query(served->path()), stream(served->path()), idle(served->path());
  query.get(kEndlessRows);
  stream.get("/v1/stream/alerts");
  REQUIRE(stream.take_head());
  served->server.reset();
  served->add_alert("too late for anybody");
  query.raw();  // to its end
  CHECK(idle.closed());
  CHECK(stream.closed());
}
