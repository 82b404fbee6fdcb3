// SPDX-License-Identifier: Apache-2.0
// PostgreSQL's protocol 3.0: how it is recognised, and the dialogue that pairs statements, simple
// and prepared, with their outcomes. Worker thread of the plugin.
#pragma once

#include <memory>

#include "tracing/dialogue.h"

namespace trivet::tracing {

Inference infer_postgresql(const Opening& opening);
std::unique_ptr<Dialogue> open_postgresql(const Options& options, Conversation& link);

}  // namespace trivet::tracing
