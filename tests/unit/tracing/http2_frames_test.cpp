// SPDX-License-Identifier: Apache-2.0
// Frames as in RFC 9113, 4 and 6.
#include <doctest/doctest.h>

#include <random>
#include <string>

#include "tracing/http2_wire.h"

namespace trivet::tracing {
namespace {

using namespace std::string_literals;
using Step = Http2Reader::Step;

// What a reader makes of bytes that come in pieces, as text.
std::string reading(std::string_view bytes, std::size_t piece) {
  Http2Reader reader;
  std::string text;
  bool in_data = false;
  while (!bytes.empty()) {
    std::string_view input = bytes.substr(0, piece);
    bytes.remove_prefix(input.size());
    for (;;) {
      const Step step = reader.next(input);
      if (step == Step::need_more) break;
      if (step == Step::failed) return text + "failed";
      if (step == Step::preface) text += "preface ";
      if (step == Step::data) text += reader.payload(), in_data = true;
      if (step != Step::frame) continue;
      const Http2Frame& frame = reader.frame();
      text += in_data ? "" : std::to_string(frame.type);
      text += "(" + std::string(reader.payload()) + ")" +
              (frame.has(Http2Frame::end_stream) ? "! " : " ");
      in_data = false;
    }
  }
  return text + (reader.idle() ? "" : "...");
}

}  // namespace

TEST_CASE("frames are read in pieces of any size, without padding and priority") {
  const std::string bytes =
      std::string(http2_preface) +
      frame_of(Http2Frame::settings, 0, 0, "\0\1\0\0\1\0"s.substr(0, 0)) +
      frame_of(Http2Frame::headers, Http2Frame::padded | Http2Frame::prioritized, 1,
               std::string("\2", 1) + "12345block" + "pp") +
      frame_of(Http2Frame::headers, Http2Frame::padded, 1, std::string("\0", 1) + "b") +
      frame_of(Http2Frame::data, 0, 1, "content") +
      frame_of(Http2Frame::data, Http2Frame::padded | Http2Frame::end_stream, 1, "\3morepad") +
      frame_of(Http2Frame::push_promise, Http2Frame::padded, 1,
               "\1"
               "\0\0\0\2fieldsp"s) +
      frame_of(Http2Frame::ping, 0, 0, "12345678");
  for (std::size_t piece : {1ul, 2ul, 7ul, 1000ul}) {
    CAPTURE(piece);
    CHECK(reading(bytes, piece) ==
          "preface 4() 1(block) 1(b) content() more()! 5("
          "\0\0\0\2fields"s
          ") 6(12345678) ");
  }
}

TEST_CASE("types that are not known are passed over, whatever their length") {
  const std::string unknown =
      big_endian(200000, 3) + '\x0f' + '\xff' + big_endian(7, 4) + std::string(200000, 'x');
  CHECK(reading(unknown + frame_of(Http2Frame::ping, 1, 0, "12345678"), 999) ==
        "15()! 6(12345678)! ");
}

TEST_CASE("frames of wrong sizes and streams are refused") {
  const std::string table[] = {
      frame_of(Http2Frame::data, 0, 0, "x"),
      frame_of(Http2Frame::data, Http2Frame::padded, 1, ""),
      frame_of(Http2Frame::data, Http2Frame::padded, 1, "\5abc"),
      frame_of(Http2Frame::headers, 0, 0, "x"),
      frame_of(Http2Frame::headers, Http2Frame::padded, 1, "\5abc"),
      frame_of(Http2Frame::headers, Http2Frame::prioritized, 1, "1234"),
      frame_of(Http2Frame::headers, Http2Frame::padded | Http2Frame::prioritized, 1,
               "\1"
               "12345"),
      frame_of(Http2Frame::priority, 0, 1, "1234"),
      frame_of(Http2Frame::rst_stream, 0, 1, "12345"),
      frame_of(Http2Frame::settings, 0, 1),
      frame_of(Http2Frame::settings, 0, 0, "12345"),
      frame_of(Http2Frame::settings, Http2Frame::ack, 0, "123456"),
      frame_of(Http2Frame::push_promise, 0, 1, "123"),
      frame_of(Http2Frame::ping, 0, 0, "1234567"),
      frame_of(Http2Frame::goaway, 0, 0, "1234567"),
      frame_of(Http2Frame::window_update, 0, 0, "12345"),
      frame_of(Http2Frame::continuation, 0, 0, "x"),
      "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
  };
  for (const std::string& bytes : table) {
    CAPTURE(bytes);
    CHECK(reading(bytes, 3) == "failed");
  }
}

TEST_CASE("bytes within a payload of known end may be missing") {
  Http2Reader reader;
  const std::string frame =
      frame_of(Http2Frame::data, Http2Frame::padded, 1, "\4" + std::string(100, 'c') + "pppp");
  std::string_view input = std::string_view(frame).substr(0, 20);
  while (reader.next(input) != Step::need_more) continue;
  std::uint64_t content = 0;
  CHECK(reader.skip(92, content));  // all content that is left, and two bytes of padding
  CHECK(content == 90);
  CHECK(!reader.skip(3, content));
  CHECK(reader.skip(2, content));
  CHECK(content == 0);
  input = {};
  CHECK(reader.next(input) == Step::frame);
  CHECK(reader.idle());
  CHECK(!reader.skip(1, content));
}

TEST_CASE("frames are found in the midst of a stream, and not in what is none") {
  const std::string frames = data_of(5, std::string(300, '\0'), false) + data_of(5, "end") +
                             frame_of(Http2Frame::ping, 0, 0, "12345678") + data_of(7, "x");
  for (std::size_t cut : {1ul, 100ul, 308ul}) {
    CAPTURE(cut);
    const Place place = find_http2_frames(std::string_view(frames).substr(cut), false);
    CHECK(place.certain);
    CHECK(place.offset == 309 - cut);
  }
  // A segment that is one frame.
  CHECK(find_http2_frames(data_of(5, "end"), true).certain);
  CHECK(!find_http2_frames(data_of(5, "end"), false).certain);
  CHECK(!find_http2_frames(data_of(5, "end") + data_of(7, "x"), false).certain);
  // More bytes tell.
  const Place open = find_http2_frames("xyz" + data_of(5, "end").substr(0, 10), true);
  CHECK(open.offset == 3);
  CHECK(!open.certain);

  std::mt19937 random(9113);
  std::string noise(1 << 20, '\0');
  for (char& c : noise) c = static_cast<char>(random() % 3 == 0 ? random() % 10 : random());
  std::size_t at = 0;
  while (at < noise.size()) {
    const Place place = find_http2_frames(std::string_view(noise).substr(at), false);
    REQUIRE(!place.certain);
    at += place.offset + 1;
  }
}

}  // namespace trivet::tracing
