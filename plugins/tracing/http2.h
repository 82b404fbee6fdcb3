// SPDX-License-Identifier: Apache-2.0
// HTTP/2 (RFC 9113): how it is recognised, from its first byte or half-way, and the dialogue that
// pairs requests and responses by their stream and tells gRPC calls beside them. Worker thread of
// the plugin.
#pragma once

#include <cstdint>
#include <memory>

#include "tracing/dialogue.h"
#include "tracing/http_record.h"
#include "tracing/options.h"

namespace trivet::tracing {

Inference infer_http2(const Opening& opening);
Place find_http2_frames(std::string_view bytes, bool aligned);
std::unique_ptr<Dialogue> open_http2(const Options& options, Conversation& link);

inline constexpr Protocol http2_protocol = {
    .name = "http",
    .pipelined = false,
    .enabled = [](const Options& o) { return o.http.enabled; },
    .infer = infer_http2,
    .open = open_http2,
    .find = find_http2_frames,
};

// A request of HTTP/1.1 that was answered by an upgrade to HTTP/2: its answer comes on stream 1.
struct UpgradedRequest {
  HttpRequest record;
  BodyForm body;
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
};
std::unique_ptr<Dialogue> open_upgraded_http2(const Options& options, Conversation& link,
                                              UpgradedRequest request);

}  // namespace trivet::tracing
