// SPDX-License-Identifier: Apache-2.0
// The examples of RFC 6455, 5.7, and RFC 7692, 7.2.3.
#include <doctest/doctest.h>

#include "tracing/websocket.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

using namespace std::string_literals;

const std::string asks =
    "GET /chat?token=secret HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
std::string agrees(const std::string& extensions = "") {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
         (extensions.empty() ? "" : "Sec-WebSocket-Extensions: " + extensions + "\r\n") + "\r\n";
}

// All messages in bytes that come `step` at a time; a failure counts as one of type "failed".
std::vector<WebSocketMessage> messages(const std::string& bytes, WebSocketTerms terms = {},
                                       std::size_t limit = 100, std::size_t step = 1000000) {
  WebSocketReader reader(limit, terms);
  std::vector<WebSocketMessage> found;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const std::string copy = bytes.substr(at, step);
    std::string_view piece = copy;
    for (;;) {
      const WebSocketReader::Step next = reader.next(piece, 1 + at);
      if (next == WebSocketReader::Step::need_more) break;
      if (next == WebSocketReader::Step::failed) {
        found.push_back({.type = "failed"});
        return found;
      }
      found.push_back(reader.message());
    }
  }
  return found;
}

}  // namespace

TEST_CASE("frames become messages, unmasked and joined, however they are cut") {
  struct {
    std::string bytes;
    const char* type;
    std::string payload;
    unsigned frames;
  } const table[] = {
      {"\x81\x05Hello", "text", "Hello", 1},
      {"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "text", "Hello", 1},
      {"\x01\x03Hel\x80\x02lo", "text", "Hello", 2},
      {"\x89\x05Hello", "ping", "Hello", 1},
      {"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "pong", "Hello", 1},
      {"\x82\x7e\x01\x00"s + std::string(256, 'b'), "binary", std::string(256, 'b'), 1},
      {"\x82\x7f\0\0\0\0\0\1\0\0"s + std::string(65536, 'b'), "binary", std::string(65536, 'b'), 1},
      {"\x82\x80\1\2\3\4"s, "binary", "", 1},
  };
  for (const auto& row : table) {
    CAPTURE(row.bytes.substr(0, 12));
    for (std::size_t step : {1, 3, 1000000}) {
      const auto found = messages(row.bytes, {}, 65536, step);
      REQUIRE(found.size() == 1);
      CHECK(found[0].type == std::string(row.type));
      CHECK(found[0].payload == row.payload);
      CHECK(found[0].bytes == row.payload.size());
      CHECK(found[0].frames == row.frames);
      CHECK_FALSE(found[0].truncated);
    }
  }
}

TEST_CASE("a ping between the fragments of a message is told first") {
  const auto found = messages(
      "\x01\x03Hel\x89\x02hi\x80\x02lo\x88\x05\x03\xe8"
      "bye");
  REQUIRE(found.size() == 3);
  CHECK(found[0].payload == "hi");
  CHECK(found[1].payload == "Hello");
  CHECK(found[2].type == std::string("close"));
  CHECK(found[2].close_code == 1000u);
  CHECK(found[2].payload == "bye");
}

TEST_CASE("compressed messages are decompressed with the context they share") {
  const WebSocketTerms shared{.deflate = true, .keeps_context = true};
  const WebSocketTerms alone{.deflate = true, .keeps_context = false};
  const std::string hello = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"s;
  struct {
    std::string bytes;
    WebSocketTerms terms;
    std::size_t count;
  } const table[] = {
      {hello, shared, 1},
      {"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00"s, shared, 1},
      {hello + hello, alone, 2},
      {hello + "\xc1\x05\xf2\x00\x11\x00\x00"s, shared, 2},
      {"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"s, shared, 1},
      {"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s, shared, 1},
      {"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"s, shared, 1},
      {"\x81\x05Hello" + hello, shared, 2},
  };
  for (const auto& row : table) {
    for (std::size_t step : {1, 1000000}) {
      const auto found = messages(row.bytes, row.terms, 100, step);
      REQUIRE(found.size() == row.count);
      for (const auto& m : found) CHECK(m.payload == "Hello");
      CHECK(found.back().compressed);
    }
  }
}

TEST_CASE("what no WebSocket sends ends it") {
  for (const std::string& bytes :
       {"\x83\x00"s, "\x8b\x00"s, "\x91\x00"s, "\xc1\x00"s, "\x09\x00"s, "\x89\x7e\x00\xff"s,
        "\x80\x00"s, "\x01\x01x\x01\x01y"s, "\x82\x7f\x80\0\0\0\0\0\0\0"s}) {
    CAPTURE(bytes);
    CHECK(messages(bytes).back().type == std::string("failed"));
  }
}

TEST_CASE("a payload is kept up to the limit, and nothing behind a hole") {
  CHECK(messages("\x81\x05Hello", {}, 3)[0].payload == "Hel");
  CHECK(messages("\x81\x05Hello", {}, 3)[0].truncated);
  WebSocketReader reader(100, {});
  std::string_view start = "\x81\x85\x37\xfa\x21\x3d\x7f";
  CHECK(reader.next(start, 1) == WebSocketReader::Step::need_more);
  CHECK_FALSE(reader.skip(5));
  CHECK(reader.skip(2));
  std::string_view rest = "\x51\x58";
  REQUIRE(reader.next(rest, 2) == WebSocketReader::Step::message);
  CHECK(reader.message().payload == "H");
  CHECK(reader.message().bytes == 5);
  CHECK(reader.message().truncated);
}

TEST_CASE("an exchange that becomes a WebSocket is a record, and each message one more") {
  WireOf<HttpRequest> wire;
  wire.client(asks);
  wire.server(agrees() + "\x81\x05Hello");
  REQUIRE(wire.records.size() == 1);
  CHECK(wire.records[0].status == 101u);
  CHECK(wire.records[0].error == "");
  CHECK(wire.records[0].query == "token=<redacted>");
  CHECK(wire.need == Need::every_byte);
  wire.client("\x81\x85\x37\xfa\x21\x3d\x7f\x9f");
  wire.client("\x4d\x51\x58");
  REQUIRE(wire.messages.size() == 2);
  CHECK(wire.messages[0].sender == "server");
  CHECK(wire.messages[0].protocol == "websocket");
  CHECK(wire.messages[0].path == "/chat");
  CHECK(wire.messages[1].sender == "client");
  CHECK(wire.messages[1].payload == "Hello");
  CHECK(wire.messages[1].role == "server");
  CHECK(wire.messages[1].transfer.ns == ms);
  SUBCASE("a loss in one direction leaves the other") {
    wire.client("\x81\x85\x37\xfa\x21\x3d\x7f", true);
    wire.client("GET / HTTP/1.1\r\n\r\n");
    wire.server("\x81\x02hi");
    CHECK(wire.messages.size() == 3);
    CHECK(wire.records.size() == 1);
    CHECK(wire.counts.gaps[0] == 1);
  }
  SUBCASE("what is no frame ends it") {
    wire.server("\xff\x01");
    CHECK(wire.conversation.finished());
    CHECK(wire.counts.parse_errors == 1);
  }
}

TEST_CASE("what the handshake agreed on for compression is kept to") {
  WireOf<HttpRequest> wire(false);
  wire.client(asks);
  wire.server(agrees("permessage-deflate; client_no_context_takeover"));
  const std::string masked = "\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00"s;
  wire.client(masked + masked);
  wire.server("\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00"s);
  REQUIRE(wire.messages.size() == 4);
  for (const HttpMessage& m : wire.messages) CHECK(m.payload == "Hello");
}

}  // namespace trivet::tracing
