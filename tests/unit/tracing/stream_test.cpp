// SPDX-License-Identifier: Apache-2.0
#include "tracing/stream.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace trivet::tracing {
namespace {

constexpr std::size_t room = 1 << 20;

struct Recorder final : Stream::Sink {
  std::string text;  // a gap of n bytes is n dots
  std::vector<Gap> reasons;
  bool ended = false;

  void on_bytes(std::string_view bytes, const Stamp&) override { text += bytes; }
  void on_gap(Gap reason, std::uint64_t bytes, const Stamp&) override {
    text.append(bytes, '.');
    reasons.push_back(reason);
  }
  void on_end(const Stamp&) override { ended = true; }
};

Segment at(std::uint32_t sequence, std::string_view bytes) {
  Segment segment;
  segment.sequence = sequence;
  segment.bytes = bytes;
  return segment;
}

}  // namespace

TEST_CASE("any order of any overlapping segments gives the same stream") {
  std::string content;
  for (int i = 0; i < 200; ++i) content += std::to_string(i) + ",";
  std::mt19937 random(1);
  // Starts just before the sequence numbers wrap.
  const std::uint32_t start = 0xffffff00;

  for (int round = 0; round < 500; ++round) {
    std::vector<Segment> segments;
    for (std::size_t offset = 0; offset < content.size();) {
      std::size_t length = 1 + random() % 60;
      std::size_t early = std::min<std::size_t>(offset, random() % 20);
      std::string_view bytes = std::string_view(content).substr(offset - early, length + early);
      segments.push_back(at(start + static_cast<std::uint32_t>(offset - early), bytes));
      if (random() % 4 == 0) segments.push_back(segments.back());
      offset += length;
    }
    segments.back().fin = true;
    std::ranges::shuffle(segments, random);

    Stream stream;
    Recorder recorder;
    stream.anchor(start);
    for (const Segment& segment : segments) stream.feed(segment, room, recorder);
    CAPTURE(round);
    REQUIRE(recorder.text == content);
    REQUIRE(recorder.ended);
    REQUIRE_FALSE(stream.waiting());
  }
}

TEST_CASE("a hole is a gap once it can no longer be filled") {
  Stream stream;
  Recorder recorder;
  stream.anchor(100);
  stream.feed(at(100, "ab"), room, recorder);
  stream.feed(at(105, "fg"), room, recorder);
  CHECK(recorder.text == "ab");
  CHECK(stream.waiting());

  SUBCASE("a later segment is in order") {
    Segment proof = at(109, "jk");
    proof.in_order = true;
    stream.feed(proof, room, recorder);
    CHECK(recorder.text == "ab...fg..jk");
    CHECK(recorder.reasons == std::vector{Gap::lost, Gap::lost});
  }
  SUBCASE("nobody waits any longer") {
    stream.flush(recorder);
    CHECK(recorder.text == "ab...fg");
    CHECK(recorder.reasons == std::vector{Gap::never_came});
  }
  SUBCASE("more is held than a window holds") {
    const std::string block(64 << 10, 'x');
    for (unsigned i = 0; i < 17; ++i) {
      stream.feed(at(200 + i * static_cast<unsigned>(block.size()), block), room, recorder);
    }
    CHECK(recorder.text.starts_with("ab...fg....."));
    CHECK(stream.held_bytes() <= room);
    CHECK(recorder.reasons == std::vector{Gap::no_room, Gap::no_room});
  }
  SUBCASE("unless it is filled in time") {
    stream.feed(at(101, "bcdef"), room, recorder);
    CHECK(recorder.text == "abcdefg");
  }
}

TEST_CASE("segments without bytes that come early fill the room as well") {
  Stream stream;
  Recorder recorder;
  stream.anchor(0);
  Segment bare = at(1, {});
  bare.unseen = 1;
  for (unsigned i = 0; i < 100000; ++i) {
    bare.sequence = 1 + 2 * i;
    stream.feed(bare, room, recorder);
  }
  CHECK(stream.held_bytes() <= room);
  CHECK(recorder.text.size() > 150000);
}

TEST_CASE("bytes that were not captured are a gap of their length") {
  Stream stream;
  Recorder recorder;
  stream.anchor(0);
  Segment segment = at(0, "abc");
  segment.unseen = 4;
  stream.feed(segment, room, recorder);
  CHECK(recorder.text == "abc....");
  segment.sequence = 5;  // overlaps what was passed over
  stream.feed(segment, room, recorder);
  CHECK(recorder.text == "abc....c....");
  CHECK(recorder.reasons == std::vector{Gap::not_told, Gap::not_told});
}

TEST_CASE("a sequence number that no window reaches is not believed") {
  Stream stream;
  Recorder recorder;
  stream.anchor(0);
  Segment wild = at(0x60000000, "x");
  wild.in_order = true;
  stream.feed(wild, room, recorder);
  stream.feed(at(0, "a"), room, recorder);
  CHECK(recorder.text == "a");
}

}  // namespace trivet::tracing
