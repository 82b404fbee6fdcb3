// SPDX-License-Identifier: Apache-2.0
// The one table of protocols. A further one is a file of its own, its records, and a row here.
#pragma once

#include <span>

#include "tracing/dialogue.h"

namespace trivet::tracing {

std::span<const Protocol> protocols();

}  // namespace trivet::tracing
