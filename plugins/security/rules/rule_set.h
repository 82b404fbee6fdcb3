// SPDX-License-Identifier: Apache-2.0
// The rules of a configuration: loaded from files, selected, indexed by the events that they could
// match. Loaded on the thread that configures; judged by the worker. Move-only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "security/rules/definitions.h"
#include "security/rules/filter.h"
#include "security/rules/output_template.h"
#include "security/rules/reach.h"

namespace trivet::security {

// Which of the rules that the files define are wanted.
struct Selection {
  Priority floor = Priority::debug;        // and more urgent ones
  std::vector<std::string> disable_rules;  // names; * stands for any letters
  std::vector<std::string> disable_tags;
  std::vector<std::string> enable_rules;  // after disabling
  std::vector<std::string> enable_tags;
};

struct Rule {
  std::string name;
  Priority priority = Priority::debug;
  std::string source;
  std::vector<std::string> tags;
  std::shared_ptr<const Filter> filter;
  OutputTemplate output;
  Reach reach;
};

enum class RuleState { loaded, skipped, disabled };
std::string_view name_of(RuleState state);

// What became of a rule that the files define.
struct RuleStatus {
  std::string name;
  Priority priority = Priority::debug;
  RuleState state = RuleState::loaded;
  std::string
      reason;  // why it is skipped, or what it does not see; empty if there is nothing to say
  Place place;
};

class RuleSet {
 public:
  // Rules that could match events of a type, in the order of the files.
  const std::vector<const Rule*>& of_type(std::size_t type) const { return by_type_[type]; }
  const std::vector<std::unique_ptr<Rule>>& rules() const { return rules_; }
  const std::vector<RuleStatus>& statuses() const { return statuses_; }
  // What the kernel must tell for all of them together.
  const Reach& reach() const { return reach_; }
  std::size_t slots() const { return slots_; }
  std::size_t memos() const { return memos_; }

 private:
  friend struct LoadedRules load_rules(const std::vector<TextFile>&, const Selection&);
  std::vector<std::unique_ptr<Rule>> rules_;
  std::array<std::vector<const Rule*>, kEventTypes.size()> by_type_;
  std::vector<RuleStatus> statuses_;
  Reach reach_;
  std::size_t slots_ = 0;
  std::size_t memos_ = 0;
};

struct LoadedRules {
  RuleSet rules;
  std::vector<Error> errors;    // the files cannot be used
  std::vector<Error> warnings;  // rules skipped, or that see less than they ask for
};

LoadedRules load_rules(const std::vector<TextFile>& files, const Selection& selection);

}  // namespace trivet::security
