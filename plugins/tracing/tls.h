// SPDX-License-Identifier: Apache-2.0
// TLS 1.0 to 1.3 (RFC 8446, RFC 5246): how it is recognised, and the dialogue that reads the
// hellos, and up to 1.2 the server's certificate. What is encrypted is not looked at. Worker thread
// of the plugin.
#pragma once

#include <memory>

#include "tracing/dialogue.h"

namespace trivet::tracing {

Inference infer_tls(const Opening& opening);
std::unique_ptr<Dialogue> open_tls(const Options& options, Conversation& link);

}  // namespace trivet::tracing
