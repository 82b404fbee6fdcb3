// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "wire.h"

namespace trivet::tracing {
namespace {

// The HTTP of a connection.
class Wire final : public WireOf<HttpRequest> {
 public:
  explicit Wire(bool at_server = true, HttpOptions http = {})
      : WireOf<HttpRequest>(at_server, Options{.http = std::move(http)}) {}
};

std::string get(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: example.org\r\n\r\n";
}
std::string ok(const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers +
         "\r\n" + body;
}

}  // namespace

TEST_CASE("an exchange becomes a record with its columns") {
  Wire wire;
  wire.client("POST /a/b?c=d&e HTTP/1.1\r\nHost: example.org\r\nUser-Agent: t/1\r\n");
  wire.client("Content-Length: 5\r\n\r\nhe");
  wire.client("llo");
  wire.server("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-Id: 7\r\n\r\n");
  wire.server("ok");
  REQUIRE(wire.records.size() == 1);
  const HttpRequest& r = wire.records[0];
  CHECK(r.role == "server");
  CHECK(r.method == "POST");
  CHECK(r.path == "/a/b");
  CHECK(r.query == "c=d&e");
  CHECK(r.version == "1.1");
  CHECK(r.host == "example.org");
  CHECK(r.user_agent == "t/1");
  CHECK(r.status == 201u);
  CHECK(r.status_message == "Created");
  CHECK(r.error == "");
  CHECK(r.request_body == "hello");
  CHECK(r.request_body_bytes == 5);
  CHECK(r.response_body == "ok");
  CHECK(r.response_body_bytes == 2);
  REQUIRE(r.response_headers.items.size() == 2);
  CHECK(r.response_headers.items[1].first == "x-id");
  CHECK(r.time.boot_ns == 1001 * ms);
  CHECK(r.request_transfer.ns == 2 * ms);
  CHECK(r.first_byte.ns == 1 * ms);
  CHECK(r.latency.ns == 4 * ms);
}

TEST_CASE("the end where requests leave is the client") {
  Wire wire(false);
  wire.client(get("/"));
  wire.server(ok("x"));
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].role == "client");
}

TEST_CASE("a connection cut into segments at any byte gives the same records") {
  const std::string asked = get("/1") + "HEAD /2 HTTP/1.1\r\n\r\n" + get("/3");
  const std::string answered =
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok("one") +
      "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" +
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n";
  for (std::size_t split = 1; split < std::max(asked.size(), answered.size()); ++split) {
    CAPTURE(split);
    Wire wire;
    wire.client(asked.substr(0, split));
    if (split < asked.size()) wire.client(asked.substr(split));
    wire.server(answered.substr(0, split));
    if (split < answered.size()) wire.server(answered.substr(split));
    REQUIRE(wire.records.size() == 3);
    REQUIRE(wire.records[0].path == "/1");
    REQUIRE(wire.records[0].response_body == "one");
    REQUIRE(wire.records[1].method == "HEAD");
    REQUIRE(wire.records[1].response_body_bytes == 0);
    REQUIRE(wire.records[2].path == "/3");
    REQUIRE(wire.records[2].response_body == "three");
    REQUIRE(wire.need == Need::every_byte);
  }
}

TEST_CASE("trailers are told apart from headers; malformed ones are left out") {
  const std::string chunked = " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n";
  const std::string status = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  Wire wire;
  wire.client("POST /1" + chunked + "Digest: abc\r\nX-Auth-Token: s3cret\r\n\r\n");
  wire.server(status + "grpc-status: 0\r\n\r\n");
  wire.client("POST /2" + chunked + "no field\r\n\r\n");
  wire.server(ok("x"));
  REQUIRE(wire.records.size() == 2);
  using Field = std::pair<std::string, Scalar>;
  CHECK(wire.records[0].request_trailers.items ==
        std::vector<Field>{{"digest", "abc"}, {"x-auth-token", "<redacted>"}});
  CHECK(wire.records[0].response_trailers.items == std::vector<Field>{{"grpc-status", "0"}});
  CHECK(wire.records[0].request_headers.items.size() == 1);
  CHECK(wire.records[1].request_trailers.items.empty());
  CHECK(wire.records[1].error == "");
}

TEST_CASE("a body up to the close ends with FIN, and with nothing else") {
  Wire wire;
  wire.client("GET / HTTP/1.0\r\n\r\n");
  wire.server("HTTP/1.0 200 OK\r\n\r\nabc");
  CHECK(wire.records.empty());
  SUBCASE("FIN") {
    wire.server_fin();
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "");
    CHECK(wire.records[0].response_body_bytes == 3);
  }
  SUBCASE("a reset") {
    wire.conversation.on_reset();
    wire.conversation.close("closed");
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "reset");
    CHECK(wire.records[0].response_body_truncated);
  }
}

TEST_CASE("every request becomes a record, answered or not") {
  Wire wire;
  wire.client(get("/1"));
  SUBCASE("the connection closes") {
    wire.conversation.close("closed");
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "closed");
    CHECK_FALSE(wire.records[0].status.has_value());
  }
  SUBCASE("the server closes its direction") {
    wire.server_fin();
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "closed");
  }
  SUBCASE("it is reset") {
    wire.conversation.on_reset();
    wire.conversation.close("closed");
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "reset");
  }
  SUBCASE("the response is cut") {
    wire.server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    wire.server_fin();
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "truncated");
    CHECK(wire.records[0].status == 200u);
    CHECK(wire.records[0].response_body_truncated);
  }
  SUBCASE("the response comes after the time-out: the next one is not taken for it") {
    wire.silence(61'000 * ms);
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].error == "timeout");
    wire.server(ok("late"));
    CHECK(wire.records.size() == 1);
    wire.client(get("/2"));
    wire.server(ok("two"));
    REQUIRE(wire.records.size() == 2);
    CHECK(wire.records[1].path == "/2");
    CHECK(wire.records[1].response_body == "two");
  }
}

TEST_CASE("bodies are kept up to the limit, their sizes are exact") {
  Wire wire(true, {.body_limit = 4, .redact_headers = {}});
  wire.client(get("/long"));
  wire.server("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
  wire.unseen = 400;
  wire.server("defg");
  wire.unseen = 592;
  wire.server("x");
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].response_body == "abcd");
  CHECK(wire.records[0].response_body_bytes == 1000);
  CHECK(wire.records[0].response_body_truncated);
  CHECK(wire.records[0].error == "");
}

TEST_CASE("what an Upgrade or CONNECT leads to is found out anew") {
  for (bool upgrade : {true, false}) {
    CAPTURE(upgrade);
    Wire wire;
    wire.client(upgrade ? "GET /other HTTP/1.1\r\nUpgrade: noise\r\nConnection: Upgrade\r\n\r\n"
                        : "CONNECT example.org:80 HTTP/1.1\r\n\r\n");
    wire.server(upgrade ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: noise\r\n\r\n"
                        : "HTTP/1.1 200 Connection established\r\n\r\n");
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].status == (upgrade ? 101u : 200u));
    SUBCASE("HTTP") {
      wire.client(get("/within"));
      wire.server(ok("x"));
      REQUIRE(wire.records.size() == 2);
      CHECK(wire.records[1].path == "/within");
      CHECK(wire.records[1].status == 200u);
    }
    SUBCASE("nothing known") {
      wire.client("\x81\x05hello");
      CHECK(wire.records.size() == 1);
      CHECK(wire.conversation.finished());
    }
  }
}

TEST_CASE("headers with credentials keep their names only") {
  Wire wire(true, {.body_limit = 64 << 10, .redact_headers = {"authorization", "set-cookie"}});
  wire.client("GET / HTTP/1.1\r\nAUTHORIZATION: Basic c2VjcmV0\r\nAccept: */*\r\n\r\n");
  wire.server(ok("", "Set-Cookie: id=secret\r\n"));
  REQUIRE(wire.records.size() == 1);
  const auto& request = wire.records[0].request_headers.items;
  CHECK(request[0] == std::pair<std::string, Scalar>("authorization", "<redacted>"));
  CHECK(request[1] == std::pair<std::string, Scalar>("accept", "*/*"));
  CHECK(wire.records[0].response_headers.items[1].second == Scalar("<redacted>"));
}

TEST_CASE("a malformed request becomes a record with its answer; nothing behind it is believed") {
  for (const std::string bad :
       {"POST /2 HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost : example.org\r\n\r\n",
        "POST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
    for (bool answered : {true, false}) {
      CAPTURE(bad);
      Wire wire;
      wire.client(get("/1"));
      wire.client(bad + get("/smuggled"));
      wire.client(get("/smuggled too"));
      wire.server(ok("one"));
      REQUIRE(wire.records.size() == 1);
      CHECK(wire.records[0].error == "");
      CHECK_FALSE(wire.conversation.finished());
      if (answered) {
        wire.server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
      } else {
        wire.conversation.close("closed");
      }
      REQUIRE(wire.records.size() == 2);
      CHECK(wire.records[1].path == "/2");
      CHECK(wire.records[1].status.value_or(0) == (answered ? 400u : 0u));
      CHECK(wire.records[1].error == "malformed");
      CHECK(wire.counts.parse_errors == 1);
      CHECK(wire.conversation.finished());
    }
  }
}

TEST_CASE("a malformed response is told with its status") {
  Wire wire;
  wire.client(get("/1"));
  wire.server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab");
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].status == 200u);
  CHECK(wire.records[0].error == "malformed");
}

TEST_CASE("an empty line and wide spaces before a connection's first request hide nothing") {
  for (bool in_two : {false, true}) {
    Wire wire;
    wire.client(in_two ? "\r\n" : "\r\nGET  /1 \t HTTP/1.1 \r\n\r\n");
    if (in_two) wire.client("GET  /1 \t HTTP/1.1 \r\n\r\n");
    wire.server(ok("one"));
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].path == "/1");
    CHECK(wire.records[0].status == 200u);
  }
}

TEST_CASE("the kernel is told what is needed of a bulky body, and that it is over") {
  Wire wire;
  wire.client(get("/1"));
  wire.server("HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n");
  CHECK(wire.need == Need::beginning);
  wire.unseen = 9000000;
  wire.server("");
  CHECK(wire.need == Need::unknown);
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].response_body_bytes == 9000000);
  wire.client(get("/2"));
  wire.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  CHECK(wire.need == Need::every_byte);
  wire.server("0\r\n\r\n");
  CHECK(wire.need == Need::every_byte);
  wire.client(get("/3"));
  wire.server("HTTP/1.1 200 OK\r\n\r\n");
  CHECK(wire.need == Need::beginning);
}

TEST_CASE("a socket that carries something else is given up at its first bytes") {
  Wire wire;
  wire.client("SSH-2.0-OpenSSH_9.2\r\n");
  CHECK(wire.conversation.finished());
  CHECK(wire.records.empty());
}

TEST_CASE("a connection found half-way is followed from its next request") {
  Wire wire;
  wire.known_from_start = false;
  wire.server("...the rest of some body");
  wire.client(get("/1"));
  wire.server(ok("one"));
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].response_body == "one");
}

TEST_CASE("one lost event costs one exchange of a client that does not pipeline") {
  for (bool lose_request : {true, false}) {
    CAPTURE(lose_request);
    Wire wire;
    for (int i = 0; i < 20; ++i) {
      const std::string id = std::to_string(i);
      wire.client(get("/" + id), lose_request && i == 10);
      wire.server(ok(id), !lose_request && i == 10);
    }
    std::size_t paired = 0;
    for (const HttpRequest& r : wire.records) {
      if (!r.status) continue;
      ++paired;
      CHECK(r.path == "/" + r.response_body);
    }
    CHECK(paired == 19);
    CHECK(wire.records.size() == (lose_request ? 19 : 20));
  }
}

// The request carries an id, the response the same id: a pair that disagrees is wrong.
TEST_CASE("lost events never give a wrong pair, with and without pipelining") {
  std::mt19937 random(7);
  std::size_t asked = 0;
  std::size_t wrong = 0;
  std::size_t asked_singly = 0;  // by clients that do not pipeline
  std::size_t whole_singly = 0;
  while (asked < 100'000) {
    const unsigned depth = 1 + random() % 4;   // requests under way at a time
    const unsigned loss = 1 + random() % 200;  // lost events in ten thousand
    const unsigned requests = 1 + random() % 300;
    Wire wire(random() % 2 == 0);
    const auto lost = [&] { return random() % 10'000 < loss; };
    // In pieces, so that events are lost within messages too.
    const auto in_pieces = [&](const std::string& bytes, bool from_client) {
      for (std::size_t at = 0; at < bytes.size();) {
        std::size_t length = random() % 3 == 0 ? 1 + random() % bytes.size() : bytes.size();
        std::string_view piece = std::string_view(bytes).substr(at, length);
        if (from_client) {
          wire.client(piece, lost());
        } else {
          wire.server(piece, lost());
        }
        at += piece.size();
      }
    };
    unsigned sent = 0;
    unsigned answered = 0;
    while (answered < requests) {
      if (sent < requests && sent - answered < depth) {
        const std::string id = std::to_string(sent++);
        const bool post = random() % 4 == 0;
        // A body that looks like a request must not be taken for one.
        in_pieces(post ? "POST /" + id + " HTTP/1.1\r\nContent-Length: " +
                             std::to_string(get("/evil").size()) + "\r\n\r\n" + get("/evil")
                       : get("/" + id),
                  true);
        continue;
      }
      const std::string header = "X-Id: /" + std::to_string(answered++) + "\r\n";
      in_pieces(random() % 4 == 0 ? "HTTP/1.1 200 OK\r\n" + header +
                                        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                                  : ok("HTTP/1.1 200 OK\r\nX-Id: /evil\r\n\r\n", header),
                false);
      if (random() % 2 == 0) wire.conversation.on_idle(wire.now_ns);
    }
    wire.conversation.close("closed");
    asked += requests;
    if (depth == 1) asked_singly += requests;
    for (const HttpRequest& r : wire.records) {
      if (!r.status) continue;
      std::string id;
      for (const auto& [name, value] : r.response_headers.items) {
        if (name == "x-id") id = std::get<std::string>(value);
      }
      if (id != r.path) ++wrong;
      if (r.error.empty() && depth == 1) ++whole_singly;
    }
  }
  CHECK(wrong == 0);
  // At one event lost in a hundred and several for each exchange, most are told whole all the same.
  CHECK(whole_singly > asked_singly * 3 / 4);
  MESSAGE("asked singly ", asked_singly, ", whole ", whole_singly);
}

TEST_CASE("without loss every exchange is whole, pipelined or not") {
  Wire wire;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 8; ++i) wire.client(get("/" + std::to_string(round * 8 + i)));
    for (int i = 0; i < 8; ++i) wire.server(ok("/" + std::to_string(round * 8 + i)));
  }
  REQUIRE(wire.records.size() == 800);
  for (const HttpRequest& r : wire.records) {
    REQUIRE(r.error == "");
    REQUIRE(r.path == r.response_body);
  }
  CHECK(wire.conversation.memory() < 10'000);
}

}  // namespace trivet::tracing
