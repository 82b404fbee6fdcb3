// SPDX-License-Identifier: Apache-2.0
// What `trivet rules ls` and `trivet fields ls` answer, as JSON. Pure.
#pragma once

#include <string>
#include <vector>

#include "security/rules/rule_set.h"

namespace trivet::security {

std::string rules_as_json(const std::vector<RuleStatus>& statuses);
std::string fields_as_json();

}  // namespace trivet::security
