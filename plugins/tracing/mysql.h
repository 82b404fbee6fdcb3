// SPDX-License-Identifier: Apache-2.0
// The protocol of MySQL and MariaDB (4.1 and later): how it is recognised, and the dialogue that
// pairs commands, statements in text and prepared, with their outcomes. Worker thread of the
// plugin.
#pragma once

#include <memory>

#include "tracing/dialogue.h"

namespace trivet::tracing {

Inference infer_mysql(const Opening& opening);
std::unique_ptr<Dialogue> open_mysql(const Options& options, Conversation& link);

}  // namespace trivet::tracing
