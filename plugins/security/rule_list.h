// SPDX-License-Identifier: Apache-2.0
// What `trivet rules` answers, as JSON. Pure.
#pragma once

#include <string>
#include <vector>

#include "security/rules/rule_set.h"

namespace trivet::security {

std::string rules_as_json(const std::vector<RuleStatus>& statuses);
// A rule by its name; an error that names the nearest if there is none.
Result<std::string> rule_as_json(const std::vector<RuleStatus>& statuses, const std::string& name);
// Fields, operators, modifiers and transformers.
std::string fields_as_json();
std::string events_as_json();

}  // namespace trivet::security
