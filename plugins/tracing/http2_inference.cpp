// SPDX-License-Identifier: Apache-2.0
// How HTTP/2 is recognised: by its preface, or half-way by a header block that says whose it is.
#include "tracing/hpack.h"
#include "tracing/http2.h"
#include "tracing/http2_frames.h"

namespace trivet::tracing {
namespace {

// Frames that look right but do not say who sends them, so far.
constexpr unsigned perhaps = 20;

Inference infer_half_way(std::string_view bytes) {
  if (!begins_like_http2_frames(bytes)) return {};
  Http2Reader reader;
  for (;;) {
    const Http2Reader::Step step = reader.next(bytes);
    if (step == Http2Reader::Step::need_more) return {perhaps, Party::server, false};
    if (step == Http2Reader::Step::failed) return {};
    const Http2Frame& frame = reader.frame();
    if (step != Http2Reader::Step::frame || frame.type != Http2Frame::headers ||
        !frame.has(Http2Frame::end_headers)) {
      continue;
    }
    HpackDecoder decoder;
    if (!decoder.decode(reader.payload())) return {};
    for (const auto& [name, value] : decoder.fields()) {
      if (!name.starts_with(':')) continue;
      return {Inference::certain, name == ":status" ? Party::server : Party::client, true};
    }
  }
}

}  // namespace

Inference infer_http2(const Opening& opening) {
  const std::string_view bytes = opening.bytes;
  if (bytes.starts_with(http2_preface)) return {Inference::certain, Party::client, true};
  if (http2_preface.starts_with(bytes)) return {10, Party::client, true};
  if (!opening.first) return infer_half_way(bytes);
  // A server may speak before it has heard the client.
  if (bytes.size() < Http2Frame::header_bytes) return {};
  const Http2Frame frame = Http2Frame::read(bytes);
  const bool settings = frame.type == Http2Frame::settings && frame.flags == 0 && frame.sound();
  return {settings ? perhaps : 0, Party::server, true};
}

}  // namespace trivet::tracing
