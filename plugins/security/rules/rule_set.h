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

// Switches the rules of a name (* stands for any letters) or a tag.
struct SelectionStep {
  bool enable = false;
  bool by_tag = false;
  std::string pattern;
};

// Which of the rules that the files define are wanted.
struct Selection {
  Priority floor = Priority::debug;  // and more urgent ones
  std::vector<SelectionStep> steps;  // in order: a later one wins
};

struct Rule {
  std::string name;
  Priority priority = Priority::debug;
  std::string source;
  std::vector<std::string> tags;
  NodeId filter = FilterGraph::kNever;
  OutputTemplate output;
  Reach reach;
};

enum class RuleState { loaded, skipped, disabled };
std::string_view name_of(RuleState state);

// What became of a rule that the files define, and what they say of it.
struct RuleStatus {
  RuleDefinition definition;
  RuleState state = RuleState::loaded;
  std::string reason;  // why it is not judged, or what it does not see; empty: nothing to say
  std::vector<std::string> event_types;  // that it is judged on
};

// A rule with what remains of its condition for the events of one kind.
struct Candidate {
  const Rule* rule = nullptr;
  NodeId filter = FilterGraph::kNever;
};

class RuleSet {
 public:
  // Rules that could match events of that type and profile, in the order of the files.
  const std::vector<Candidate>& candidates(std::size_t type, unsigned profile) const {
    return candidates_[type][profile];
  }
  const std::vector<std::unique_ptr<Rule>>& rules() const { return rules_; }
  const std::vector<RuleStatus>& statuses() const { return statuses_; }
  // What the kernel must tell for all of them together.
  const Reach& reach() const { return reach_; }
  const FilterGraph& graph() const { return *graph_; }

 private:
  friend class RuleLoader;
  std::unique_ptr<FilterGraph> graph_ = std::make_unique<FilterGraph>();
  std::vector<std::unique_ptr<Rule>> rules_;
  std::array<std::array<std::vector<Candidate>, PROFILE_COUNT>, kEventTypes.size()> candidates_;
  std::vector<RuleStatus> statuses_;
  Reach reach_;
};

struct LoadedRules {
  RuleSet rules;
  Findings findings;  // errors: the files cannot be used
};

LoadedRules load_rules(const std::vector<TextFile>& files, const Selection& selection);

}  // namespace trivet::security
