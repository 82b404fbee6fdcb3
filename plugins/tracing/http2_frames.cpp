// SPDX-License-Identifier: Apache-2.0
#include "tracing/http2_frames.h"

#include <algorithm>
#include <optional>

namespace trivet::tracing {
namespace {

// Of frames that are looked for: the size that every receiver takes (RFC 9113, 4.2).
constexpr std::uint32_t common_frame_bytes = 16384;
constexpr std::uint32_t last_error_code = 13;
// Frames in a row that no accident makes: each header has some thirty bits that must fit.
constexpr unsigned enough_frames = 3, enough_aligned_frames = 2;

std::uint32_t big(std::string_view bytes) {
  std::uint32_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

// Whether these bytes, a header and perhaps some payload, look like a frame that is commonly sent.
bool likely(const Http2Frame& frame, std::string_view payload) {
  if (!frame.sound() || frame.length > common_frame_bytes) return false;
  const auto only = [&](unsigned flags) { return (frame.flags & ~flags) == 0; };
  switch (frame.type) {
    case Http2Frame::data:
      return only(Http2Frame::end_stream | Http2Frame::padded) &&
             (frame.length > 0 || frame.has(Http2Frame::end_stream));
    case Http2Frame::headers:
      return only(Http2Frame::end_stream | Http2Frame::end_headers | Http2Frame::padded |
                  Http2Frame::prioritized) &&
             frame.length > 0;
    case Http2Frame::push_promise:
      return only(Http2Frame::end_headers | Http2Frame::padded);
    case Http2Frame::continuation:
      return only(Http2Frame::end_headers);
    case Http2Frame::settings:
    case Http2Frame::ping:
      return only(Http2Frame::ack);
    case Http2Frame::rst_stream:
      return only(0) && (payload.size() < 4 || big(payload.substr(0, 4)) <= last_error_code);
    case Http2Frame::window_update:
      return only(0) &&
             (payload.size() < 4 || (payload.substr(0, 4) != std::string_view("\0\0\0\0", 4) &&
                                     (payload[0] & 0x80) == 0));
    case Http2Frame::priority:
    case Http2Frame::goaway:
      return only(0);
    default:
      return false;
  }
}

enum class Chain { broken, open, certain };

Chain follow(std::string_view bytes, bool aligned) {
  unsigned frames = 0;
  std::uint32_t continued = 0;  // the stream whose header block is not complete
  while (bytes.size() >= Http2Frame::header_bytes) {
    const Http2Frame frame = Http2Frame::read(bytes);
    bytes.remove_prefix(Http2Frame::header_bytes);
    if (!likely(frame, bytes)) return Chain::broken;
    const bool continues = frame.type == Http2Frame::continuation;
    if (frames > 0 && (continues ? frame.stream != continued : continued != 0))
      return Chain::broken;
    // A direction is joined where a block begins, else it could not be read.
    if (frames == 0 && continues) return Chain::broken;
    const bool block =
        continues || frame.type == Http2Frame::headers || frame.type == Http2Frame::push_promise;
    continued = block && !frame.has(Http2Frame::end_headers) ? frame.stream : 0;
    ++frames;
    if (frames >= (aligned ? enough_aligned_frames : enough_frames)) return Chain::certain;
    if (frame.length > bytes.size()) return Chain::open;
    bytes.remove_prefix(frame.length);
  }
  return aligned && frames > 0 && bytes.empty() ? Chain::certain : Chain::open;
}

}  // namespace

Http2Frame Http2Frame::read(std::string_view bytes) {
  return {.length = big(bytes.substr(0, 3)),
          .type = static_cast<std::uint8_t>(bytes[3]),
          .flags = static_cast<std::uint8_t>(bytes[4]),
          .stream = big(bytes.substr(5, 4)) & 0x7fffffff};
}

bool Http2Frame::sound() const {
  switch (type) {
    case data:
    case continuation:
      return stream != 0;
    case headers:
      return stream != 0 && length >= (has(padded) ? 1u : 0u) + (has(prioritized) ? 5u : 0u);
    case priority:
      return stream != 0 && length == 5;
    case rst_stream:
      return stream != 0 && length == 4;
    case settings:
      return stream == 0 && length % 6 == 0 && (!has(ack) || length == 0);
    case push_promise:
      return stream != 0 && length >= (has(padded) ? 5u : 4u);
    case ping:
      return stream == 0 && length == 8;
    case goaway:
      return stream == 0 && length >= 8;
    case window_update:
      return length == 4;
    default:
      return true;
  }
}

void Http2Reader::reset() {
  state_ = State::header;
  header_.clear();
  held_.clear();
  payload_ = {};
}

Http2Reader::Step Http2Reader::next(std::string_view& input) {
  payload_ = {};
  if (state_ == State::header) {
    if (const auto step = take_header(input)) return *step;
  }
  return state_ == State::held ? take_held(input) : take_passing(input);
}

// No step once a frame's header is there.
std::optional<Http2Reader::Step> Http2Reader::take_header(std::string_view& input) {
  const auto take = [&](std::size_t wanted) {
    const std::size_t taken = std::min(input.size(), wanted - std::min(wanted, header_.size()));
    header_.append(input.substr(0, taken));
    input.remove_prefix(taken);
    return header_.size() >= wanted;
  };
  if (!take(Http2Frame::header_bytes)) return Step::need_more;
  // The preface's first bytes would be the header of a frame of five megabytes.
  if (http2_preface.starts_with(std::string_view(header_).substr(0, Http2Frame::header_bytes))) {
    if (!take(http2_preface.size())) return Step::need_more;
    const bool preface = header_ == http2_preface;
    header_.clear();
    return preface ? Step::preface : Step::failed;
  }
  frame_ = Http2Frame::read(header_);
  header_.clear();
  if (!begin_frame()) return Step::failed;
  return std::nullopt;
}

bool Http2Reader::begin_frame() {
  held_.clear();
  content_ = rest_ = 0;
  if (frame_.type == Http2Frame::data) {
    content_ = frame_.length;
    whole_ = false;
    state_ = frame_.has(Http2Frame::padded) ? State::pad_length : State::data;
    if (state_ == State::pad_length && frame_.length == 0) return false;
  } else {
    whole_ = frame_.type <= Http2Frame::continuation && frame_.length <= max_payload_bytes;
    if (!whole_) rest_ = frame_.length;
    state_ = whole_ ? State::held : State::passed_over;
  }
  return frame_.sound();
}

Http2Reader::Step Http2Reader::take_passing(std::string_view& input) {
  if (state_ == State::pad_length) {
    if (input.empty()) return Step::need_more;
    rest_ = static_cast<std::uint8_t>(input.front());
    input.remove_prefix(1);
    if (rest_ >= content_) return Step::failed;
    content_ -= rest_ + 1;
    state_ = State::data;
  }
  if (content_ > 0) {
    if (input.empty()) return Step::need_more;
    payload_ = input.substr(0, content_);
    input.remove_prefix(payload_.size());
    content_ -= static_cast<std::uint32_t>(payload_.size());
    return Step::data;
  }
  const std::size_t passed = std::min<std::size_t>(input.size(), rest_);
  input.remove_prefix(passed);
  rest_ -= static_cast<std::uint32_t>(passed);
  if (rest_ > 0) return Step::need_more;
  state_ = State::header;
  return Step::frame;
}

Http2Reader::Step Http2Reader::take_held(std::string_view& input) {
  if (held_.empty() && input.size() >= frame_.length) {
    payload_ = input.substr(0, frame_.length);
    input.remove_prefix(frame_.length);
  } else {
    const std::size_t taken = std::min(input.size(), frame_.length - held_.size());
    held_.append(input.substr(0, taken));
    input.remove_prefix(taken);
    if (held_.size() < frame_.length) return Step::need_more;
    payload_ = held_;
  }
  state_ = State::header;
  return strip() ? Step::frame : Step::failed;
}

bool Http2Reader::strip() {
  if (frame_.type != Http2Frame::headers && frame_.type != Http2Frame::push_promise) return true;
  if (frame_.has(Http2Frame::padded)) {
    const std::size_t padding = static_cast<std::uint8_t>(payload_.front());
    payload_.remove_prefix(1);
    if (padding > payload_.size()) return false;
    payload_.remove_suffix(padding);
  }
  const std::size_t before =
      frame_.type == Http2Frame::headers && frame_.has(Http2Frame::prioritized) ? 5 : 0;
  if (before > payload_.size()) return false;
  payload_.remove_prefix(before);
  return frame_.type == Http2Frame::headers || payload_.size() >= 4;
}

bool Http2Reader::skip(std::uint64_t bytes, std::uint64_t& content) {
  content = 0;
  if (state_ != State::data && state_ != State::passed_over) return false;
  if (bytes > std::uint64_t{content_} + rest_) return false;
  content = std::min<std::uint64_t>(bytes, content_);
  content_ -= static_cast<std::uint32_t>(content);
  rest_ -= static_cast<std::uint32_t>(bytes - content);
  return true;
}

bool begins_like_http2_frames(std::string_view bytes) {
  return bytes.size() >= Http2Frame::header_bytes && follow(bytes, true) != Chain::broken;
}

Place find_http2_frames(std::string_view bytes, bool aligned) {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    const Chain chain = follow(bytes.substr(at), aligned && at == 0);
    if (chain != Chain::broken) return {at, chain == Chain::certain};
  }
  return {bytes.size(), false};
}

}  // namespace trivet::tracing
