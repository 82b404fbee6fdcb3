// SPDX-License-Identifier: Apache-2.0
// HTTP/1.x (RFC 9112): how it is recognised, and the dialogue that pairs its requests and
// responses. Worker thread of the plugin.
#pragma once

#include <memory>

#include "tracing/dialogue.h"

namespace trivet::tracing {

Inference infer_http(const Opening& opening);
std::unique_ptr<Dialogue> open_http(const Options& options, Conversation& link);

}  // namespace trivet::tracing
