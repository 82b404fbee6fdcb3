// SPDX-License-Identifier: Apache-2.0
#include "tracing/http2.h"

#include <string>
#include <utility>

#include "tracing/hpack.h"
#include "tracing/http2_frames.h"
#include "tracing/http2_streams.h"

namespace trivet::tracing {
namespace {

// A direction that fails to be HTTP/2 so often is none.
constexpr unsigned max_failures = 16;
// Of a header block, held for the next one.
constexpr std::size_t common_block_bytes = 16 << 10;

std::uint32_t big(std::string_view bytes) {
  std::uint32_t value = 0;
  for (char c : bytes.substr(0, 4)) value = value << 8 | static_cast<std::uint8_t>(c);
  return value;
}

// Reads the frames of both directions.
class Http2Dialogue final : public Http2Streams {
 public:
  Http2Dialogue(const Options& options, Conversation& link) : Http2Streams(options.http, link) {
    link_.need(Need::every_byte);
  }

  // Both directions begin with an empty table of header fields.
  void begin() {
    for (Half& each : halves_) each.fields.begin();
  }
  using Http2Streams::adopt;

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override;
  bool skip(Party from, std::uint64_t bytes, const Stamp& stamp) override;
  void on_lost(Party from, std::uint64_t time_ns) override;
  void restart(Party from) override { half(from).frames.reset(); }
  std::size_t memory() const override;

 private:
  // One party's frames, and the header block under way.
  struct Half {
    Http2Reader frames;
    HpackDecoder fields;
    std::uint64_t frame_first_ns = 0;
    std::string block;
    bool block_open = false;
    bool block_whole = true;
    bool block_ends_stream = false;
    bool block_promises = false;      // a request that the server makes for the client
    std::uint32_t block_carrier = 0;  // the stream of its frames
    std::uint32_t block_stream = 0;   // and the one that it is about
    std::uint64_t block_first_ns = 0;
    unsigned failures = 0;
  };

  Half& half(Party party) { return halves_[static_cast<unsigned>(party)]; }
  void fail(Party from, const Stamp& stamp);
  // False if it makes no sense here.
  bool take_frame(Party from, const Stamp& stamp);
  bool take_block_frame(Party from, const Stamp& stamp);
  void end_block(Party from, const Stamp& stamp);

  Half halves_[2];  // by party
};

std::size_t Http2Dialogue::memory() const {
  std::size_t bytes = Http2Streams::memory();
  for (const Half& each : halves_) {
    bytes += each.frames.memory() + each.fields.memory() + each.block.capacity();
  }
  return bytes;
}

void Http2Dialogue::on_bytes(Party from, std::string_view bytes, const Stamp& stamp) {
  Half& own = half(from);
  while (link_.in_step(from)) {
    if (own.frames.idle()) own.frame_first_ns = stamp.time_ns;
    switch (own.frames.next(bytes)) {
      case Http2Reader::Step::need_more:
        sweep(stamp.time_ns);
        return;
      case Http2Reader::Step::preface:
        begin();
        break;
      case Http2Reader::Step::data:
        take_content(from, own.frames.frame().stream, own.frames.payload(), stamp.time_ns);
        break;
      case Http2Reader::Step::frame:
        if (take_frame(from, stamp)) break;
        [[fallthrough]];
      case Http2Reader::Step::failed:
        fail(from, stamp);
        return;
    }
  }
}

void Http2Dialogue::fail(Party from, const Stamp& stamp) {
  ++link_.shared().parse_errors;
  if (++half(from).failures < max_failures) {
    link_.lose(from, stamp.time_ns);
    return;
  }
  tell_all("malformed");
  link_.finish();
}

bool Http2Dialogue::take_frame(Party from, const Stamp& stamp) {
  Half& own = half(from);
  const Http2Frame& frame = own.frames.frame();
  const std::string_view payload = own.frames.payload();
  // Nothing comes between the frames of a block (RFC 9113, 6.10).
  const bool continues = frame.type == Http2Frame::continuation;
  if (own.block_open != continues || (continues && frame.stream != own.block_carrier)) return false;
  switch (frame.type) {
    case Http2Frame::data:
      if (frame.has(Http2Frame::end_stream)) end(from, frame.stream, stamp.time_ns);
      return true;
    case Http2Frame::headers:
    case Http2Frame::push_promise:
    case Http2Frame::continuation:
      return take_block_frame(from, stamp);
    case Http2Frame::rst_stream:
      reset(frame.stream, big(payload));
      return true;
    case Http2Frame::goaway:
      if (from == Party::server && own.frames.whole()) {
        go_away(big(payload) & 0x7fffffff, big(payload.substr(4)));
      }
      return true;
    default:
      return true;
  }
}

bool Http2Dialogue::take_block_frame(Party from, const Stamp& stamp) {
  Half& own = half(from);
  const Http2Frame& frame = own.frames.frame();
  std::string_view payload = own.frames.payload();
  if (frame.type != Http2Frame::continuation) {
    own.block.clear();
    own.block_whole = true;
    own.block_carrier = own.block_stream = frame.stream;
    own.block_first_ns = own.frame_first_ns;
    own.block_promises = frame.type == Http2Frame::push_promise;
    own.block_ends_stream = !own.block_promises && frame.has(Http2Frame::end_stream);
    if (own.block_promises) {
      if (from == Party::client) return false;
      own.block_stream = big(payload) & 0x7fffffff;
      if (own.frames.whole()) payload.remove_prefix(4);
    }
  }
  own.block_whole &=
      own.frames.whole() && own.block.size() + payload.size() <= Http2Reader::max_payload_bytes;
  own.block.append(own.block_whole ? payload : std::string_view());
  own.block_open = !frame.has(Http2Frame::end_headers);
  if (!own.block_open) end_block(from, stamp);
  return true;
}

void Http2Dialogue::end_block(Party from, const Stamp& stamp) {
  Half& own = half(from);
  if (!own.block_whole) own.block.clear();
  const bool good = own.fields.decode(own.block) && own.block_whole;
  // What was not kept may have changed the table.
  if (!own.block_whole) own.fields.forget();
  if (!good) ++link_.shared().parse_errors;
  if (own.block.capacity() > common_block_bytes) own.block = {};
  if (from == Party::client || own.block_promises) {
    take_request_fields(own.block_stream, own.fields, good, own.block_first_ns);
  } else {
    take_response_fields(own.block_stream, own.fields, good, own.block_first_ns);
  }
  if (own.block_promises) {
    end(Party::client, own.block_stream, stamp.time_ns);
  } else if (own.block_ends_stream) {
    end(from, own.block_stream, stamp.time_ns);
  }
}

bool Http2Dialogue::skip(Party from, std::uint64_t bytes, const Stamp& stamp) {
  Http2Reader& frames = half(from).frames;
  std::uint64_t content = 0;
  if (!frames.skip(bytes, content)) return false;
  if (content > 0) miss_content(from, frames.frame().stream, content, stamp.time_ns);
  on_bytes(from, {}, stamp);
  return true;
}

void Http2Dialogue::on_lost(Party from, std::uint64_t time_ns) {
  Half& own = half(from);
  own.frames.reset();
  own.fields.forget();
  own.block_open = false;
  own.block = {};
  lose(from, time_ns);
}

}  // namespace

std::unique_ptr<Dialogue> open_http2(const Options& options, Conversation& link) {
  return std::make_unique<Http2Dialogue>(options, link);
}

std::unique_ptr<Dialogue> open_upgraded_http2(const Options& options, Conversation& link,
                                              UpgradedRequest request) {
  auto dialogue = std::make_unique<Http2Dialogue>(options, link);
  dialogue->begin();
  dialogue->adopt(std::move(request));
  return dialogue;
}

}  // namespace trivet::tracing
