// SPDX-License-Identifier: Apache-2.0
#include "security/rule_switches.h"

#include <algorithm>
#include <optional>

#include "security/rules/source_resolver.h"

namespace trivet::security {
namespace {

struct SwitchKey {
  const char* name;
  bool enable;
  bool by_tag;
};
constexpr SwitchKey kSwitchKeys[] = {{"disable_rules", false, false},
                                     {"disable_tags", false, true},
                                     {"enable_rules", true, false},
                                     {"enable_tags", true, true}};

// An entry of [[rules]]: disable or enable, a rule or a tag.
Result<SelectionStep> read_entry(const Config& table) {
  ConfigReader read(table);
  std::vector<SelectionStep> steps;
  for (const char* key : {"disable", "enable"}) {
    auto which = read.table(key);
    if (!which) continue;
    ConfigReader inner(*which);
    for (const char* kind : {"rule", "tag"}) {
      std::string pattern;
      inner(kind, pattern);
      if (pattern.empty()) continue;
      steps.push_back(
          {std::string_view(key) == "enable", std::string_view(kind) == "tag", std::move(pattern)});
    }
    if (auto done = inner.finish(); !done) return done.error();
  }
  if (auto done = read.finish(); !done) return done.error();
  if (steps.size() != 1) {
    return Error{"write one of disable and enable, with a rule or a tag: disable = {tag = \"x\"}",
                 0, table.place("")};
  }
  return std::move(steps.front());
}

}  // namespace

std::vector<RuleSwitch> read_switches(ConfigReader& read) {
  std::vector<RuleSwitch> switches;
  for (const auto& key : kSwitchKeys) {
    std::vector<std::string> patterns;
    read(key.name, patterns);
    for (auto& pattern : patterns) {
      switches.push_back({key.name, {key.enable, key.by_tag, std::move(pattern)}});
    }
  }
  for (const auto& table : read.tables("rules")) {
    auto step = read_entry(*table);
    if (!step) {
      read.fail("rules", step.error());
      break;
    }
    switches.push_back({"rules", std::move(*step)});
  }
  return switches;
}

void check_switches(const std::vector<RuleSwitch>& switches, const RuleSet& rules,
                    ConfigReader& read) {
  std::vector<std::string> known;
  for (const auto& status : rules.statuses()) known.push_back(status.definition.name);
  for (const auto& [key, step] : switches) {
    if (step.by_tag || step.pattern.find('*') != step.pattern.npos) continue;
    if (std::ranges::find(known, step.pattern) != known.end()) continue;
    auto near = suggestion(step.pattern, known);
    read.fail(key, {"there is no rule \"" + step.pattern + "\"" +
                    (near.empty() ? ": `trivet rules ls` lists all" : near)});
  }
}

}  // namespace trivet::security
