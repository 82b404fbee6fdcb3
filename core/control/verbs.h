// SPDX-License-Identifier: Apache-2.0
// The verbs of the core's own, and what each needs of its client. Those of plugins say it where
// they are added (Host::verb).
#pragma once

#include <algorithm>
#include <string_view>

#include "trivet/host.h"

namespace trivet {

struct CoreVerb {
  std::string_view name;
  Access access;
};

// A capture holds what records leave out: secrets in payload and in environments.
inline constexpr CoreVerb kCoreVerbs[] = {{"status", Access::read},  {"plugin ls", Access::read},
                                          {"observe", Access::read}, {"query", Access::read},
                                          {"reload", Access::write}, {"capture", Access::write}};

// The verb of that name, or nullptr: it may be a plugin's.
inline const CoreVerb* find_core_verb(std::string_view name) {
  const auto found = std::ranges::find(kCoreVerbs, name, &CoreVerb::name);
  return found == std::end(kCoreVerbs) ? nullptr : found;
}

}  // namespace trivet
