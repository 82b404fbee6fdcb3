// SPDX-License-Identifier: Apache-2.0
// Conversations as RFC 9113 describes them; header blocks are libnghttp2's.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tracing/hpack.h"
#include "tracing/http2_wire.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

// Two ends with their encoders, behind their prefaces.
struct Http2 : WireOf<HttpRequest> {
  explicit Http2(bool at_server = true, Options options = {})
      : WireOf<HttpRequest>(at_server, std::move(options)) {}
  void greet() {
    client(std::string(http2_preface) + frame_of(Http2Frame::settings, 0, 0));
    server(frame_of(Http2Frame::settings, 0, 0) + frame_of(Http2Frame::settings, 1, 0));
  }
  void ask(std::uint32_t stream, const std::string& path, bool lost = false) {
    client(from_client.headers(stream, request_of("GET", path), true), lost);
  }
  void answer(std::uint32_t stream, const std::string& status, const std::string& body,
              bool lost = false) {
    server(from_server.headers(stream, response_of(status)) + data_of(stream, body), lost);
  }
  const HttpRequest* record(const std::string& path) const {
    for (const HttpRequest& r : records) {
      if (r.path == path) return &r;
    }
    return nullptr;
  }

  Encoder from_client, from_server;
};

std::string text_of(const Fields& fields, const std::string& name) {
  for (const auto& [key, value] : fields.items) {
    if (key == name) return std::get<std::string>(value);
  }
  return "(none)";
}

}  // namespace

TEST_CASE("a request and its response become a record with the columns of HTTP/1") {
  Http2 wire;
  wire.greet();
  wire.client(wire.from_client.headers(1, request_of("POST", "/users/42?token=x&b=1",
                                                     {{"user-agent", "test/1"},
                                                      {"content-type", "application/json"},
                                                      {"authorization", "Bearer x"},
                                                      {"cookie", "a=1"}})));
  wire.client(data_of(1, "{\"password\":", false));
  wire.client(data_of(1, "\"secret\"}"));
  wire.now_ns += 10 * ms;
  wire.server(wire.from_server.headers(
      1, response_of("201", {{"content-type", "text/plain"}, {"set-cookie", "s=1; Path=/"}})));
  wire.server(data_of(1, "hello ", false));
  wire.server(data_of(1, "world"));
  REQUIRE(wire.records.size() == 1);
  const HttpRequest& r = wire.records[0];
  CHECK(r.version == "2");
  CHECK(r.method == "POST");
  CHECK(r.path == "/users/42");
  CHECK(r.route == "/users/{id}");
  CHECK(r.query == "token=<redacted>&b=1");
  CHECK(r.host == "example.org");
  CHECK(r.user_agent == "test/1");
  CHECK(r.status == 201);
  CHECK(r.role == "server");
  CHECK(text_of(r.request_headers, "authorization") == "<redacted>");
  CHECK(text_of(r.request_headers, ":method") == "(none)");
  CHECK(text_of(r.response_headers, "content-type") == "text/plain");
  CHECK(r.request_body == "{\"password\":\"<redacted>\"}");
  CHECK(r.request_body_bytes == 21);
  CHECK(r.response_body == "hello world");
  CHECK(r.response_body_bytes == 11);
  CHECK(r.stream == 1);
  CHECK(r.error == "");
  CHECK(r.unknown_fields == 0);
  CHECK(r.request_transfer.ns == 2 * ms);
  CHECK(r.first_byte.ns == 11 * ms);
  CHECK(r.latency.ns == 15 * ms);
  CHECK(wire.need == Need::every_byte);
  CHECK(wire.conversation.memory() < 64 << 10);
}

TEST_CASE("streams are paired by their number, whatever the order") {
  Http2 wire(false);
  wire.greet();
  for (std::uint32_t n = 1; n < 200; n += 2) wire.ask(n, "/" + std::to_string(n));
  for (std::uint32_t n = 199; n < 200; n -= 2) {
    wire.server(wire.from_server.headers(n, response_of("200")) + data_of(n, "part of ", false));
  }
  for (std::uint32_t n = 1; n < 200; n += 2) wire.server(data_of(n, std::to_string(n)));
  REQUIRE(wire.records.size() == 100);
  for (const HttpRequest& r : wire.records) {
    CHECK(r.role == "client");
    CHECK(r.response_body == "part of " + r.path.substr(1));
  }
}

TEST_CASE("a conversation is read alike however its bytes are cut") {
  Encoder client, server;
  const std::string block =
      client.block(request_of("GET", "/long", {{"x", std::string(300, 'y')}}));
  const std::string asked =
      std::string(http2_preface) +
      frame_of(Http2Frame::settings, 0, 0, big_endian(1, 2) + big_endian(0, 4)) +
      frame_of(Http2Frame::headers,
               Http2Frame::end_stream | Http2Frame::padded | Http2Frame::prioritized, 1,
               std::string("\3", 1) + big_endian(0, 4) + "w" + block.substr(0, 50) + "ppp") +
      frame_of(Http2Frame::continuation, 0, 1, block.substr(50, 100)) +
      frame_of(Http2Frame::continuation, Http2Frame::end_headers, 1, block.substr(150)) +
      frame_of(Http2Frame::priority, 0, 7, "12345") +
      frame_of(Http2Frame::window_update, 0, 0, big_endian(1000, 4));
  const std::string answered =
      frame_of(Http2Frame::settings, 0, 0) +
      server.headers(1, response_of("103", {{"link", "a"}})) +
      server.headers(1, response_of("200", {{"trailer", "sum"}})) + data_of(1, "", false) +
      frame_of(Http2Frame::data, Http2Frame::padded, 1, "\2textpp") +
      frame_of(Http2Frame::ping, 0, 0, "12345678") + std::string("\0\0\3\x20\0\0\0\0\1xyz", 12) +
      server.headers(1, {{"sum", "7"}}, true);
  for (std::size_t step : {1ul, 3ul, 10ul, 5000ul}) {
    CAPTURE(step);
    Http2 wire;
    for (std::size_t at = 0; at < asked.size(); at += step) wire.client(asked.substr(at, step));
    for (std::size_t at = 0; at < answered.size(); at += step)
      wire.server(answered.substr(at, step));
    REQUIRE(wire.records.size() == 1);
    const HttpRequest& r = wire.records[0];
    CHECK(r.path == "/long");
    CHECK(text_of(r.request_headers, "x") == std::string(300, 'y'));
    CHECK(r.status == 200);
    CHECK(text_of(r.response_headers, "link") == "(none)");
    CHECK(text_of(r.response_trailers, "sum") == "7");
    CHECK(r.response_body == "text");
    CHECK(r.error == "");
  }
}

TEST_CASE("bodies are decoded within their limit") {
  Http2 wire(true, {.http = {.body_limit = 100}});
  wire.greet();
  wire.client(wire.from_client.headers(1, request_of("GET", "/"), true));
  // "hello" by gzip(1).
  const std::string packed(
      "\x1f\x8b\x08\0\0\0\0\0\0\3\xcb\x48\xcd\xc9\xc9\7\0\x86\xa6\x10\x36\5\0\0\0", 25);
  wire.server(wire.from_server.headers(1, response_of("200", {{"content-encoding", "gzip"}})) +
              data_of(1, packed));
  wire.client(wire.from_client.headers(3, request_of("GET", "/"), true));
  wire.server(wire.from_server.headers(3, response_of("200")) + data_of(3, std::string(5000, 'x')));
  REQUIRE(wire.records.size() == 2);
  CHECK(wire.records[0].response_body == "hello");
  CHECK(wire.records[0].response_body_decoded == "gzip");
  CHECK(wire.records[1].response_body.size() == 100);
  CHECK(wire.records[1].response_body_truncated);
  CHECK(wire.records[1].response_body_bytes == 5000);
}

TEST_CASE("an exchange without a whole answer says why") {
  Http2 wire;
  wire.greet();
  wire.ask(1, "/cancelled");
  wire.ask(3, "/refused");
  wire.ask(5, "/kept");
  wire.ask(7, "/too-late");
  wire.ask(9, "/answered-early");
  wire.client(frame_of(Http2Frame::rst_stream, 0, 1, big_endian(8, 4)));
  wire.server(frame_of(Http2Frame::rst_stream, 0, 3, big_endian(7, 4)));
  wire.server(frame_of(Http2Frame::goaway, 0, 0, big_endian(5, 4) + big_endian(11, 4) + "bye"));
  wire.answer(5, "200", "ok");
  wire.client(wire.from_client.headers(11, request_of("GET", "/unfinished"), true));
  wire.server(wire.from_server.headers(11, response_of("200")) + data_of(11, "some", false));
  wire.ask(13, "/unanswered");
  wire.server_fin();
  wire.conversation.close("closed");
  const auto said = [&](const char* path) {
    const HttpRequest* r = wire.record(path);
    return r ? r->error + "/" + r->error_code : "no record";
  };
  CHECK(wire.records.size() == 7);
  CHECK(said("/cancelled") == "reset/CANCEL");
  CHECK(said("/refused") == "reset/REFUSED_STREAM");
  CHECK(said("/too-late") == "closed/ENHANCE_YOUR_CALM");
  CHECK(said("/answered-early") == "closed/ENHANCE_YOUR_CALM");
  CHECK(said("/kept") == "/");
  CHECK(said("/unfinished") == "truncated/");
  CHECK(said("/unanswered") == "closed/");
  CHECK(wire.record("/unfinished")->response_body == "some");
}

TEST_CASE("a server may answer before the request is complete, and want no more of it") {
  Http2 wire;
  wire.greet();
  wire.client(wire.from_client.headers(1, request_of("POST", "/upload")) + data_of(1, "a", false));
  wire.server(wire.from_server.headers(1, response_of("413"), true));
  CHECK(wire.records.empty());
  wire.server(frame_of(Http2Frame::rst_stream, 0, 1, big_endian(0, 4)));
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].status == 413);
  CHECK(wire.records[0].error == "");
}

TEST_CASE("a promised request is one of its own") {
  Http2 wire;
  wire.greet();
  wire.ask(1, "/page");
  const std::string block = wire.from_server.block(request_of("GET", "/style"));
  wire.server(frame_of(Http2Frame::push_promise, 0, 1, big_endian(2, 4) + block.substr(0, 5)) +
              frame_of(Http2Frame::continuation, Http2Frame::end_headers, 1, block.substr(5)));
  wire.answer(1, "200", "page");
  wire.answer(2, "200", "style");
  REQUIRE(wire.records.size() == 2);
  CHECK(wire.records[1].path == "/style");
  CHECK(wire.records[1].response_body == "style");
  CHECK(wire.records[1].stream == 2);
}

TEST_CASE("an upgrade from HTTP/1.1 is answered on stream 1") {
  for (std::size_t step : {3ul, 5000ul}) {
    Http2 wire;
    const std::string asked =
        "GET /first HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
    const std::string answered =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" +
        frame_of(Http2Frame::settings, 0, 0) + wire.from_server.headers(1, response_of("200")) +
        data_of(1, "first");
    wire.client(asked);
    for (std::size_t at = 0; at < answered.size(); at += step)
      wire.server(answered.substr(at, step));
    wire.client(std::string(http2_preface) + frame_of(Http2Frame::settings, 0, 0));
    wire.ask(3, "/second");
    wire.answer(3, "404", "second");
    REQUIRE(wire.records.size() == 2);
    CHECK(wire.records[0].path == "/first");
    CHECK(wire.records[0].host == "a");
    CHECK(wire.records[0].version == "2");
    CHECK(wire.records[0].status == 200);
    CHECK(wire.records[0].response_body == "first");
    CHECK(wire.records[0].stream == 1);
    CHECK(wire.records[0].error == "");
    CHECK(wire.records[1].status == 404);
  }
}

TEST_CASE("an upgrade that is refused leaves HTTP/1.1") {
  Http2 wire;
  wire.client(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
      "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n");
  wire.server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].version == "1.1");
}

TEST_CASE("a server that speaks first is understood once its client has spoken") {
  Http2 wire;
  wire.server(frame_of(Http2Frame::settings, 0, 0));
  wire.client(std::string(http2_preface).substr(0, 10));
  wire.client(std::string(http2_preface).substr(10) + frame_of(Http2Frame::settings, 0, 0));
  wire.ask(1, "/");
  wire.answer(1, "200", "ok");
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].response_body == "ok");
}

TEST_CASE("a connection that was there before is joined; what only its past explains is left out") {
  Http2 wire;
  wire.known_from_start = false;
  const auto ask = [&](std::uint32_t stream, const char* id, bool lost) {
    wire.client(
        wire.from_client.headers(
            stream, request_of("GET", "/static", {{"user-agent", "old/1"}, {"x-request-id", id}}),
            true),
        lost);
  };
  const auto answer = [&](std::uint32_t stream, bool lost) {
    wire.server(
        wire.from_server.headers(
            stream, response_of("418", {{"server", "old/1"}, {"date", std::to_string(stream)}})) +
            data_of(stream, "body"),
        lost);
  };
  wire.client(std::string(http2_preface) + frame_of(Http2Frame::settings, 0, 0), true);
  ask(1, "a", true);
  answer(1, true);
  ask(3, "b", false);
  answer(3, false);
  ask(5, "b", false);
  wire.server(wire.from_server.headers(5, response_of("200")) + data_of(5, "ok"));
  REQUIRE(wire.records.size() == 2);
  const HttpRequest& r = wire.records[0];
  CHECK(r.method == "GET");                                       // static
  CHECK(r.host == "");                                            // :authority, said before
  CHECK(r.user_agent == "");                                      // as well
  CHECK(text_of(r.request_headers, "x-request-id") == "(none)");  // its name was said before
  CHECK(r.unknown_fields > 3);
  CHECK(!r.status);
  CHECK(r.response_body == "body");
  CHECK(wire.records[1].status == 200);
  CHECK(wire.records[1].response_body == "ok");
  CHECK(wire.counts.parse_errors == 0);
}

TEST_CASE("a direction that lost its place finds it again, and the streams keep their answers") {
  Http2 wire;
  wire.greet();
  wire.ask(1, "/1");
  wire.ask(3, "/3");
  wire.server(wire.from_server.headers(1, response_of("200", {{"x", "1"}})), true);
  wire.server(data_of(1, "one"));
  wire.answer(3, "200", "three");
  wire.ask(5, "/5", true);
  wire.ask(7, "/7");
  wire.answer(5, "200", "five");
  wire.answer(7, "404", "seven");
  REQUIRE(wire.records.size() == 3);
  CHECK(wire.records[0].path == "/1");
  CHECK(!wire.records[0].status);
  CHECK(wire.records[0].error == "gap");
  CHECK(wire.record("/3")->response_body == "three");
  CHECK(wire.record("/3")->error == "");
  CHECK(wire.record("/7")->status == 404);
  CHECK(wire.record("/7")->error == "");
  CHECK(wire.counts.gaps[0] == 2);
}

TEST_CASE("bytes that are missing within a body cost no more than themselves") {
  Http2 wire;
  wire.greet();
  wire.ask(1, "/");
  const std::string body = data_of(1, std::string(9000, 'x'), false);
  wire.server(wire.from_server.headers(1, response_of("200")) + body.substr(0, 1000));
  wire.server(body.substr(1000, 4000), true);
  wire.server(body.substr(5000) + data_of(1, "end"));
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].response_body_bytes == 9003);
  CHECK(wire.records[0].response_body_truncated);
  CHECK(wire.records[0].error == "");
}

TEST_CASE("an open stream is no time-out, one without an answer is") {
  Http2 wire;
  wire.greet();
  wire.ask(1, "/silent");
  wire.ask(3, "/open");
  wire.server(wire.from_server.headers(3, response_of("200")) + data_of(3, "a", false));
  wire.silence(61'000 * ms);
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].path == "/silent");
  CHECK(wire.records[0].error == "timeout");
  wire.server(data_of(3, "b"));
  REQUIRE(wire.records.size() == 2);
  CHECK(wire.records[1].response_body == "ab");
  CHECK(wire.records[1].error == "");
}

TEST_CASE("streams whose answers may have been missed are told though others go on") {
  Http2 wire;
  wire.greet();
  wire.ask(1, "/1");
  wire.answer(1, "200", "lost", true);
  for (std::uint32_t stream = 3; stream < 200; stream += 2) {
    wire.ask(stream, "/busy");
    wire.now_ns += 1000 * ms;
    wire.answer(stream, "200", "ok");
  }
  REQUIRE(wire.record("/1"));
  CHECK(wire.record("/1")->error == "gap");
  CHECK(wire.records.size() == 100);
}

TEST_CASE("floods are bounded") {
  SUBCASE("of CONTINUATION frames") {
    Http2 wire;
    wire.greet();
    wire.client(frame_of(Http2Frame::headers, Http2Frame::end_stream, 1, "\x82"));
    for (unsigned i = 0; i < 2000; ++i) {
      wire.client(frame_of(Http2Frame::continuation, 0, 1, std::string(1000, '\x82')));
      REQUIRE(wire.conversation.memory() < 256 << 10);
    }
    wire.client(frame_of(Http2Frame::continuation, Http2Frame::end_headers, 1));
    wire.answer(1, "431", "");
    wire.ask(3, "/after");
    wire.answer(3, "200", "ok");
    REQUIRE(wire.records.size() == 2);
    CHECK(wire.records[0].error == "malformed");
    CHECK(wire.record("/after")->status == 200);
  }
  SUBCASE("of resets") {
    Http2 wire;
    wire.greet();
    for (std::uint32_t stream = 1; stream < 20000; stream += 2) {
      wire.client(wire.from_client.headers(stream, request_of("GET", "/r"), true) +
                  frame_of(Http2Frame::rst_stream, 0, stream, big_endian(8, 4)));
    }
    CHECK(wire.records.size() == 10000);
    CHECK(wire.conversation.memory() < 64 << 10);
    CHECK(!wire.conversation.outstanding());
  }
  SUBCASE("of streams") {
    Http2 wire;
    wire.greet();
    for (std::uint32_t stream = 1; stream < 40001; stream += 2) wire.ask(stream, "/s");
    CHECK(wire.records.size() == 20000 - 16384);
    CHECK(wire.records[0].error == "capacity");
  }
  SUBCASE("of what is no HTTP/2") {
    Http2 wire;
    wire.greet();
    for (unsigned i = 0; i < 100; ++i) {
      const std::string ping = frame_of(Http2Frame::ping, 0, 0, "12345678");
      wire.client(ping + ping + frame_of(Http2Frame::data, 0, 0, "x"));
    }
    CHECK(wire.conversation.finished());
    CHECK(wire.counts.parse_errors < 20);
  }
}

TEST_CASE("lost events never pair a request with another one's answer") {
  std::mt19937 random(2);
  std::size_t whole = 0, asked = 0;
  for (unsigned connection = 0; connection < 60; ++connection) {
    Http2 wire(random() % 2 == 0);
    wire.known_from_start = random() % 3 != 0;
    wire.greet();
    std::uint32_t next = 1;
    std::vector<std::uint32_t> open;
    const unsigned loss = random() % 3 == 0 ? 0 : random() % 100;
    const auto say = [&](const std::string& bytes, bool client) {
      for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t length = random() % 3 == 0 ? 1 + random() % bytes.size() : bytes.size();
        const bool lost = random() % 1000 < loss;
        const std::string_view piece = std::string_view(bytes).substr(at, length);
        client ? wire.client(piece, lost) : wire.server(piece, lost);
        at += piece.size();
      }
    };
    for (unsigned turn = 0; turn < 300; ++turn) {
      std::string bytes;
      for (unsigned n = random() % 4; n > 0; --n, next += 2) {
        const std::string number = std::to_string(next);
        bytes += wire.from_client.headers(next, request_of("GET", "/" + number, {{"x-n", number}}),
                                          true);
        open.push_back(next);
        ++asked;
      }
      say(std::exchange(bytes, {}), true);
      std::shuffle(open.begin(), open.end(), random);
      for (unsigned n = random() % 4; n > 0 && !open.empty(); --n) {
        const std::string number = std::to_string(open.back());
        bytes += wire.from_server.headers(open.back(), response_of("200", {{"x-n", number}}));
        bytes += data_of(open.back(), number);
        open.pop_back();
      }
      say(bytes, false);
    }
    wire.conversation.close("closed");
    for (const HttpRequest& r : wire.records) {
      CAPTURE(connection);
      const std::string number = r.path.substr(r.path.empty() ? 0 : 1);
      const std::string answered = text_of(r.response_headers, "x-n");
      if (answered != "(none)" && !number.empty()) REQUIRE(answered == number);
      if (!r.response_body.empty() && !number.empty() && !r.response_body_truncated) {
        REQUIRE(r.response_body == number);
      }
      whole += r.error.empty();
    }
  }
  CHECK(whole > asked * 8 / 10);
}

}  // namespace trivet::tracing
