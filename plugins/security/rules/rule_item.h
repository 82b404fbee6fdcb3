// SPDX-License-Identifier: Apache-2.0
// What an item says of its rule, and how it changes an earlier one. Used while files are read, on
// that thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "security/rules/definitions.h"

namespace trivet::security {

enum class Change { append, replace };

// `append: true`, or override: {key: append|replace}.
struct Overrides {
  bool append = false;
  std::map<std::string, Change> keys;

  bool any() const { return append || !keys.empty(); }
  // Nothing after saying what is wrong. The lists name the keys that can be changed so; each that
  // the item has must be in override, and the other way round.
  static std::optional<Overrides> read(const Item& item, const std::vector<std::string>& appendable,
                                       const std::vector<std::string>& replaceable,
                                       Findings& findings);
};

// The keys that a rule can have.
const std::vector<std::string>& rule_keys();

// A new rule; nothing after saying what is wrong.
std::optional<RuleDefinition> define_rule(const Item& item, std::string name,
                                          const std::shared_ptr<const TextFile>& file,
                                          Findings& findings);
// Changes `rule` as the item's overrides say.
void change_rule(const Item& item, const Overrides& overrides, RuleDefinition& rule,
                 const std::shared_ptr<const TextFile>& file, Findings& findings);
std::optional<Overrides> read_rule_overrides(const Item& item, Findings& findings);

}  // namespace trivet::security
