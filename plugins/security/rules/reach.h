// SPDX-License-Identifier: Apache-2.0
// Which events a condition could match at all, from what the kernel knows of a call at once: its
// type, whether it failed, how a file was opened. What no rule could match never leaves the kernel.
// It errs on one side only: an event that could match is never left out.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "security/rules/filter.h"

namespace trivet::security {

struct Reach {
  // For each type of kEventTypes the profiles (enum call_profile) that could match: bit p, profile
  // p.
  std::array<std::uint16_t, kEventTypes.size()> profiles{};

  bool none() const;
  Reach& operator|=(const Reach& other);
};

Reach reach_of(const Filter& filter);

// The event types that the condition asks for and that no hook sees yet, sorted.
std::vector<std::string> unbuilt_event_types(const Filter& filter);

}  // namespace trivet::security
