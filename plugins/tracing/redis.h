// SPDX-License-Identifier: Apache-2.0
// Redis (RESP2 and RESP3): how it is recognised, and the dialogue that pairs its commands and
// replies and tells pushed messages from them. Worker thread of the plugin.
#pragma once

#include <memory>

#include "tracing/dialogue.h"

namespace trivet::tracing {

Inference infer_redis(const Opening& opening);
std::unique_ptr<Dialogue> open_redis(const Options& options, Conversation& link);

}  // namespace trivet::tracing
