// SPDX-License-Identifier: Apache-2.0
// Hostile bytes on both directions of a connection, in pieces, with losses, disorder and silence.
// Each input is a list of pieces: what happens (one byte), a length (one byte), the bytes. Beside
// the sanitizers it holds that a parser's reading does not depend on how its input was cut.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tracing/conversation.h"
#include "tracing/http_parser.h"

namespace {

using namespace trivet::tracing;

struct Counter final : Conversation::Listener {
  std::size_t records = 0;
  void on_exchange(AnyRequest) override { ++records; }
  void on_need(Need) override {}
};

void require(bool holds) {
  if (!holds) std::abort();
}

// What a parser tells of `input` when it comes in pieces of `step` bytes.
std::string reading(HttpParser::Kind kind, std::string_view input, std::size_t step) {
  HttpParser parser(kind);
  std::string told;
  for (std::size_t at = 0; at < input.size(); at += step) {
    const std::string copy(input.substr(at, step));
    std::string_view piece = copy;
    for (bool more = true; more;) {
      switch (parser.next(piece)) {
        case HttpParser::Step::need_more:
          more = false;
          break;
        case HttpParser::Step::head:
          told += '{';
          for (const auto& [name, value] : parser.head().fields) told.append(name).append(value);
          break;
        case HttpParser::Step::body:
          told += parser.body();
          break;
        case HttpParser::Step::end:
          told += '}';
          break;
        case HttpParser::Step::failed:
          return told + parser.reason();
      }
    }
  }
  return told;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Options options{.http = {.body_limit = 64, .redact_headers = {"cookie"}}};
  Shared shared;
  Counter counter;
  Conversation conversation(options, shared, counter);
  std::uint32_t next[2] = {0xffffffc0u, 10};
  std::uint64_t now_ns = 1;
  std::string all[2];

  std::string_view input(reinterpret_cast<const char*>(data), size);
  while (input.size() >= 2) {
    const auto what = static_cast<std::uint8_t>(input[0]);
    const std::size_t length = static_cast<std::uint8_t>(input[1]);
    const std::string bytes(input.substr(2, length));
    input.remove_prefix(std::min(input.size(), 2 + length));
    const unsigned from = what & 1;
    now_ns += (what & 2) ? 70'000'000'000u : 1'000'000u;
    if ((what & 0xc0) == 0xc0) conversation.on_idle(now_ns);
    Segment segment;
    segment.sequence = next[from] + ((what & 4) ? 5 : 0) - ((what & 8) ? 7 : 0);
    segment.ack = next[from ^ 1];
    segment.time_ns = now_ns;
    segment.bytes = bytes;
    segment.unseen = (what & 0x40) ? length * 3 : 0;
    segment.in_order = (what & 0x10) == 0;
    segment.first = all[from].empty();
    segment.followed = (what & 0x80) == 0;
    segment.fin = (what & 0x60) == 0x60;
    next[from] += static_cast<std::uint32_t>(bytes.size());
    all[from] += bytes;
    if ((what & 0x20) == 0 || segment.fin) {
      conversation.on_segment(from ? Conversation::sent : Conversation::received, segment);
    }
    require(conversation.memory() < (4u << 20));
  }
  conversation.close("closed");
  require(conversation.memory() < (1u << 20));

  for (auto kind : {HttpParser::Kind::request, HttpParser::Kind::response}) {
    for (const std::string& direction : all) {
      const std::string whole = reading(kind, direction, direction.size() + 1);
      require(reading(kind, direction, 1) == whole);
      require(reading(kind, direction, 3) == whole);
    }
  }
  return 0;
}
