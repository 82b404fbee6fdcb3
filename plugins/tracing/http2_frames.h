// SPDX-License-Identifier: Apache-2.0
// Takes one direction of an HTTP/2 connection apart into frames (RFC 9113, 4 and 6) as its bytes
// arrive, in pieces of any size, and finds where frames begin in a stream that was joined half-way.
// Owned by the HTTP/2 dialogue; worker thread of the plugin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tracing/dialogue.h"

namespace trivet::tracing {

// What a client sends before its first frame (RFC 9113, 3.4).
inline constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct Http2Frame {
  enum Type : std::uint8_t {
    data,
    headers,
    priority,
    rst_stream,
    settings,
    push_promise,
    ping,
    goaway,
    window_update,
    continuation,
  };
  enum Flag : std::uint8_t {
    end_stream = 1,
    ack = 1,
    end_headers = 4,
    padded = 8,
    prioritized = 32
  };
  static constexpr std::size_t header_bytes = 9;

  std::uint32_t length = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;

  bool has(Flag flag) const { return (flags & flag) != 0; }
  // `bytes` are header_bytes or more.
  static Http2Frame read(std::string_view bytes);
  // Whether its length and stream are those of its type; types that are not known may be any.
  bool sound() const;
};

class Http2Reader {
 public:
  enum class Step {
    need_more,  // the input is used up
    preface,    // a client's preface
    data,       // some of a DATA frame's content, without padding: payload()
    frame,      // a frame is complete
    failed,     // not HTTP/2: reset() comes next
  };
  // Kept of a frame that is no DATA. What is commonly sent is at most a quarter of it.
  static constexpr std::size_t max_payload_bytes = 64 << 10;

  // Takes from the front of `input` what the next step needs.
  Step next(std::string_view& input);
  // Passes over bytes that were not seen; `content` becomes how many of them were a DATA frame's
  // content. False if they do not lie within a payload whose end is known without them.
  bool skip(std::uint64_t bytes, std::uint64_t& content);
  void reset();

  bool idle() const { return state_ == State::header && header_.empty(); }  // between frames
  const Http2Frame& frame() const { return frame_; }
  // Without padding and priority. At Step::frame: empty for DATA, for types that are not known and
  // for what is longer than is kept.
  std::string_view payload() const { return payload_; }
  // At Step::frame: whether payload() is all that the frame carries.
  bool whole() const { return whole_; }
  std::size_t memory() const { return header_.capacity() + held_.capacity(); }

 private:
  enum class State { header, pad_length, data, passed_over, held };

  std::optional<Step> take_header(std::string_view& input);
  bool begin_frame();
  Step take_passing(std::string_view& input);
  Step take_held(std::string_view& input);
  bool strip();

  State state_ = State::header;
  std::string header_;  // or a preface, that comes in pieces
  std::string held_;    // a payload that comes in pieces
  Http2Frame frame_;
  std::string_view payload_;
  bool whole_ = false;
  std::uint32_t content_ = 0;  // of the DATA frame, still to come
  std::uint32_t rest_ = 0;     // padding, or what is passed over, still to come
};

// Whether what looks like a frame, or several, begins the bytes.
bool begins_like_http2_frames(std::string_view bytes);
// Looks for the first place where frames may begin. `aligned`: a segment began where `bytes` begin,
// as frames commonly do.
Place find_http2_frames(std::string_view bytes, bool aligned);

}  // namespace trivet::tracing
