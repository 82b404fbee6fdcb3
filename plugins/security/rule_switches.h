// SPDX-License-Identifier: Apache-2.0
// Which rules the plugin's table switches off and on, by name and by tag. Pure.
#pragma once

#include <string>
#include <vector>

#include "security/rules/rule_set.h"
#include "trivet/config.h"

namespace trivet::security {

struct RuleSwitch {
  std::string key;  // of the table, where it is written
  SelectionStep step;
};

// disable_rules, disable_tags, enable_rules, enable_tags, then [[rules]] as Falco has them, in
// order.
std::vector<RuleSwitch> read_switches(ConfigReader& read);
// Refuses names that no rule has.
void check_switches(const std::vector<RuleSwitch>& switches, const RuleSet& rules,
                    ConfigReader& read);

}  // namespace trivet::security
