// SPDX-License-Identifier: Apache-2.0
#include "security/rules/rule_set.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "security/rules/compiler.h"

namespace trivet::security {
namespace {

bool any_matches(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(
      patterns, [&](const std::string& pattern) { return glob_matches(pattern, name); });
}

bool shares(const std::vector<std::string>& tags, const std::vector<std::string>& others) {
  return std::ranges::any_of(
      tags, [&](const std::string& tag) { return std::ranges::find(others, tag) != others.end(); });
}

// Why a rule is off; empty if it is on.
std::string off_reason(const RuleDefinition& rule, const Selection& selection) {
  std::string reason;
  if (!rule.enabled) reason = "enabled: false";
  if (any_matches(selection.disable_rules, rule.name)) reason = "disabled by name";
  if (shares(rule.tags, selection.disable_tags)) reason = "disabled by tag";
  if (any_matches(selection.enable_rules, rule.name) || shares(rule.tags, selection.enable_tags)) {
    reason.clear();
  }
  if (reason.empty() && rule.priority > selection.floor) {
    reason = "less urgent than " + std::string(name_of(selection.floor));
  }
  return reason;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

struct Outcome {
  std::unique_ptr<Rule> rule;  // null: not to be judged
  std::optional<CompileProblem> problem;
  std::string reason;  // of skipping, or a note
};

Outcome build(const RuleDefinition& definition, Compiler& compiler) {
  if (definition.source != "syscall") {
    return {nullptr, {}, "events of the source " + definition.source + " are not built yet"};
  }
  auto condition = compiler.condition(definition.whole_condition());
  if (auto problem = std::get_if<CompileProblem>(&condition)) return {nullptr, *problem, ""};
  auto output = compiler.output(definition.output);
  if (auto problem = std::get_if<CompileProblem>(&output)) return {nullptr, *problem, ""};

  auto rule = std::make_unique<Rule>();
  rule->name = definition.name;
  rule->priority = definition.priority;
  rule->source = definition.source;
  rule->tags = definition.tags;
  rule->filter = std::get<std::shared_ptr<const Filter>>(std::move(condition));
  rule->output = std::get<OutputTemplate>(std::move(output));
  rule->reach = reach_of(*rule->filter);
  auto unseen = unbuilt_event_types(*rule->filter);
  if (rule->reach.none()) {
    return {nullptr,
            {},
            unseen.empty() ? "no event can match it"
                           : "events of type " + joined(unseen) + " are not built yet"};
  }
  std::string note;
  if (!unseen.empty()) note = "does not see events of type " + joined(unseen) + " yet";
  return {std::move(rule), {}, note};
}

}  // namespace

std::string_view name_of(RuleState state) {
  switch (state) {
    case RuleState::loaded:
      return "loaded";
    case RuleState::skipped:
      return "skipped";
    case RuleState::disabled:
      break;
  }
  return "disabled";
}

LoadedRules load_rules(const std::vector<TextFile>& files, const Selection& selection) {
  LoadedRules out;
  Definitions definitions;
  for (const auto& file : files) read_rule_file(file, definitions, out.errors);

  Compiler compiler(definitions);
  auto fail = [&](const Error& error) {
    bool told = std::ranges::any_of(
        out.errors, [&](const Error& other) { return other.to_string() == error.to_string(); });
    if (!told && out.errors.size() < kMaxRuleErrors) out.errors.push_back(error);
  };
  for (const auto& problem : compiler.check_macros()) {
    if (!problem.unbuilt) fail(problem.error);
  }
  for (const auto& definition : definitions.rules) {
    RuleStatus status{definition.name, definition.priority, RuleState::loaded, "",
                      definition.place};
    auto outcome = build(definition, compiler);
    if (outcome.problem && !outcome.problem->unbuilt && !definition.skip_if_unknown) {
      fail(outcome.problem->error);
      continue;
    }
    status.reason = outcome.problem ? outcome.problem->error.message : outcome.reason;
    if (auto off = off_reason(definition, selection); !off.empty()) {
      status.state = RuleState::disabled;
      status.reason = off;
    } else if (!outcome.rule) {
      status.state = RuleState::skipped;
      out.warnings.push_back({"the rule \"" + definition.name + "\" is skipped: " + status.reason,
                              0,
                              outcome.problem ? outcome.problem->error.place : definition.place});
    } else {
      if (!status.reason.empty()) {
        out.warnings.push_back(
            {"the rule \"" + definition.name + "\" " + status.reason, 0, definition.place});
      }
      out.rules.reach_ |= outcome.rule->reach;
      for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
        if (outcome.rule->reach.profiles[type]) {
          out.rules.by_type_[type].push_back(outcome.rule.get());
        }
      }
      out.rules.rules_.push_back(std::move(outcome.rule));
    }
    out.rules.statuses_.push_back(std::move(status));
  }
  out.rules.slots_ = compiler.slots();
  out.rules.memos_ = compiler.memos();
  return out;
}

}  // namespace trivet::security
