// SPDX-License-Identifier: Apache-2.0
#include "security/rules/rule_set.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "security/rules/compiler.h"
#include "security/rules/glob.h"

namespace trivet::security {
namespace {

// Only * is special in the names of rules.
bool name_matches(std::string_view pattern, std::string_view name) {
  std::string glob;
  for (char c : pattern) {
    if (c == '?' || c == '[' || c == '\\') glob += '\\';
    glob += c;
  }
  return glob_matches(glob, name);
}

bool concerns(const SelectionStep& step, const RuleDefinition& rule) {
  if (!step.by_tag) return name_matches(step.pattern, rule.name);
  return std::ranges::find(rule.tags, step.pattern) != rule.tags.end();
}

// Why a rule is off; empty if it is on.
std::string off_reason(const RuleDefinition& rule, const Selection& selection) {
  std::string reason;
  if (!rule.enabled) reason = "enabled: false";
  for (const auto& step : selection.steps) {
    if (!concerns(step, rule)) continue;
    reason = step.enable ? "" : step.by_tag ? "disabled by tag" : "disabled by name";
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

std::vector<std::string> event_types_of(const Reach& reach) {
  std::vector<std::string> types;
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    if (reach.profiles[type]) types.emplace_back(kEventTypes[type]);
  }
  return types;
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

// Takes files to rules, once. The configuring thread's.
class RuleLoader {
 public:
  explicit RuleLoader(const Selection& selection) : selection_(selection) {}

  LoadedRules load(const std::vector<TextFile>& files) {
    for (const auto& file : files) read_rule_file(file, definitions_, out_.findings);
    Compiler compiler(definitions_, graph());
    for (const auto& problem : compiler.check_macros()) {
      if (!problem.unbuilt) fail(problem.error);
    }
    for (auto& definition : definitions_.rules) add(definition, compiler);
    specialize();
    graph().seal();
    sort(out_.findings.errors, files);
    sort(out_.findings.warnings, files);
    return std::move(out_);
  }

 private:
  struct Outcome {
    std::unique_ptr<Rule> rule;  // null: not to be judged
    std::optional<CompileProblem> problem;
    std::string reason;  // of skipping, or a note
  };

  // As somebody reads the files.
  static void sort(std::vector<Error>& errors, const std::vector<TextFile>& files) {
    std::ranges::stable_sort(errors, {}, [&](const Error& error) {
      auto file = std::ranges::find(files, error.place.file, &TextFile::path);
      return std::tuple(file - files.begin(), error.place.line, error.place.column);
    });
  }

  FilterGraph& graph() { return *out_.rules.graph_; }

  void fail(const Error& error) {
    auto& errors = out_.findings.errors;
    bool told = std::ranges::any_of(
        errors, [&](const Error& other) { return other.to_string() == error.to_string(); });
    if (!told) out_.findings.fail(error.place, error.message);
  }

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
    rule->filter = std::get<NodeId>(condition);
    rule->output = std::get<OutputTemplate>(std::move(output));
    rule->reach = reach_of(rule->filter);
    auto unseen = unbuilt_event_types(graph(), rule->filter);
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

  // One for each kind of event: what two rules share is worked out once.
  Specializer& specializer(std::size_t type, unsigned profile) {
    auto known = specializers_.find({type, profile});
    if (known == specializers_.end()) {
      known = specializers_.try_emplace({type, profile}, graph(), type, profile).first;
    }
    return known->second;
  }

  Reach reach_of(NodeId filter) {
    Reach reach;
    for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
      for (unsigned profile : profiles_of(type)) {
        // Without room for what would remain, the whole condition is judged.
        bool could = graph().full() || specializer(type, profile).of(filter) != FilterGraph::kNever;
        if (could) reach.profiles[type] |= static_cast<std::uint16_t>(1u << profile);
      }
    }
    return reach;
  }

  void add(RuleDefinition& definition, Compiler& compiler) {
    if (out_.findings.full()) return;
    RuleStatus status;
    auto outcome = build(definition, compiler);
    if (outcome.problem && !outcome.problem->unbuilt && !definition.skip_if_unknown) {
      return fail(outcome.problem->error);
    }
    auto& findings = out_.findings;
    const auto place = outcome.problem ? outcome.problem->error.place : definition.place;
    const auto name = "the rule \"" + definition.name + "\" ";
    status.reason = outcome.problem ? outcome.problem->error.message : outcome.reason;
    if (outcome.rule) status.event_types = event_types_of(outcome.rule->reach);
    if (auto off = off_reason(definition, selection_); !off.empty()) {
      status.state = RuleState::disabled;
      status.reason = off;
    } else if (!outcome.rule) {
      status.state = RuleState::skipped;
      findings.warn(place, name + "is skipped: " + status.reason);
    } else {
      if (!status.reason.empty()) findings.warn(place, name + status.reason);
      if (definition.warn_event_types && status.event_types.size() == kEventTypes.size()) {
        findings.warn(place, name +
                                 "is judged on every event: compare evt.type, or write "
                                 "warn_evttypes: false");
      }
      out_.rules.reach_ |= outcome.rule->reach;
      out_.rules.rules_.push_back(std::move(outcome.rule));
    }
    status.definition = std::move(definition);
    out_.rules.statuses_.push_back(std::move(status));
  }

  void specialize() {
    for (const auto& rule : out_.rules.rules_) {
      for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
        for (unsigned profile = 0; profile < PROFILE_COUNT; ++profile) {
          if (!(rule->reach.profiles[type] >> profile & 1)) continue;
          NodeId filter =
              graph().full() ? rule->filter : specializer(type, profile).of(rule->filter);
          out_.rules.candidates_[type][profile].push_back({rule.get(), filter});
        }
      }
    }
  }

  const Selection& selection_;
  Definitions definitions_;
  LoadedRules out_;
  std::map<std::pair<std::size_t, unsigned>, Specializer> specializers_;
};

LoadedRules load_rules(const std::vector<TextFile>& files, const Selection& selection) {
  return RuleLoader(selection).load(files);
}

}  // namespace trivet::security
