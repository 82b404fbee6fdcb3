// SPDX-License-Identifier: Apache-2.0
// The examples of WHATWG HTML, 9.2.6.
#include <doctest/doctest.h>

#include "tracing/event_stream.h"
#include "wire.h"

namespace trivet::tracing {
namespace {

std::vector<StreamEvent> events(const std::string& bytes, std::size_t limit = 100,
                                std::size_t step = 1) {
  EventStreamReader reader(limit);
  std::vector<StreamEvent> found;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    std::string_view piece = std::string_view(bytes).substr(at, step);
    while (reader.next(piece, 1 + at)) found.push_back(reader.event());
  }
  CHECK(reader.count() == found.size());
  return found;
}

}  // namespace

TEST_CASE("a stream's events are told as a browser would fire them") {
  struct {
    const char* bytes;
    std::vector<std::string> data;
  } const table[] = {
      {"data: YHOO\ndata: +2\ndata: 10\n\n", {"YHOO\n+2\n10"}},
      {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event",
       {"first event", "second event"}},
      {"data\n\ndata\ndata\n\ndata:", {"", "\n"}},
      {"data:test\n\ndata: test\n\n", {"test", "test"}},
      {"\xef\xbb\xbf"
       "data: a\r\n\r\ndata: b\r\rdata: c\n\n",
       {"a", "b", "c"}},
      {"retry: 10\nevent: nothing\n\nid: 7\n\n", {}},
  };
  for (const auto& row : table) {
    for (std::size_t step : {1, 2, 1000}) {
      CAPTURE(row.bytes);
      const auto found = events(row.bytes, 100, step);
      REQUIRE(found.size() == row.data.size());
      for (std::size_t i = 0; i < found.size(); ++i) CHECK(found[i].data == row.data[i]);
    }
  }
  const auto named = events("id: 1\nevent: add\ndata: 73857293\n\ndata: x\n\n");
  CHECK(named[0].type == "add");
  CHECK(named[0].id == "1");
  CHECK(named[1].type == "message");
  CHECK(named[1].id == "1");
}

TEST_CASE("an event's data is kept up to the limit, its size is exact") {
  const auto found = events("data: " + std::string(1000, 'a') + "\ndata: b\n\n", 10);
  REQUIRE(found.size() == 1);
  CHECK(found[0].data == std::string(10, 'a'));
  CHECK(found[0].bytes == 1002);
  CHECK(found[0].lines == 2);
  CHECK(found[0].truncated);
}

TEST_CASE("events appear as they come, the exchange with their number once the stream ends") {
  WireOf<HttpRequest> wire;
  wire.client("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
  wire.server("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n");
  CHECK(wire.need == Need::every_byte);
  wire.server("event: tick\nid: 1\ndata: one\n\nda");
  REQUIRE(wire.messages.size() == 1);
  CHECK(wire.messages[0].protocol == "sse");
  CHECK(wire.messages[0].path == "/events");
  CHECK(wire.messages[0].type == "tick");
  CHECK(wire.messages[0].payload == "one");
  CHECK(wire.records.empty());
  wire.silence(120'000 * ms);
  CHECK(wire.records.empty());
  wire.server("ta: two\n\n");
  CHECK(wire.messages.size() == 2);
  SUBCASE("ended by the server") {
    wire.server_fin();
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].response_events == 2u);
    CHECK(wire.records[0].error == "");
  }
  SUBCASE("given up by the client") {
    wire.conversation.on_reset();
    wire.conversation.close("closed");
    REQUIRE(wire.records.size() == 1);
    CHECK(wire.records[0].response_events == 2u);
    CHECK(wire.records[0].error == "reset");
  }
  SUBCASE("with a loss") {
    wire.server("data: three\n\n", true);
    wire.server("data: four\n\n");
    wire.server_fin();
    REQUIRE(wire.records.size() == 1);
    CHECK_FALSE(wire.records[0].response_events.has_value());
  }
}

}  // namespace trivet::tracing
