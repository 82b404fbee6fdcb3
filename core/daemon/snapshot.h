// SPDX-License-Identifier: Apache-2.0
// The records that an iterator program writes about what was there before the hooks.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "trivet/result.h"

namespace trivet {

// Reads a pass of an iterator to its end and calls take() for each record, which is whole, by its
// header's size, and aligned. `what` names the records in errors.
Result<void> read_snapshot(int pass, const char* what,
                           const std::function<void(std::span<const std::byte>)>& take);

}  // namespace trivet
