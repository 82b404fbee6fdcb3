// SPDX-License-Identifier: Apache-2.0
// Rule files in memory, and which of their rules match a program that starts.
#pragma once

#include <string>
#include <vector>

#include "fake_host.h"
#include "security/rules/rule_set.h"

namespace trivet::security {

inline LoadedRules load(const std::vector<std::string>& files) {
  std::vector<TextFile> texts;
  for (std::size_t i = 0; i < files.size(); ++i) {
    texts.push_back({std::string(1, static_cast<char>('a' + i)) + ".yaml", files[i]});
  }
  return load_rules(texts, {});
}

inline std::string first_error(const std::vector<std::string>& files) {
  auto loaded = load(files);
  return loaded.findings.errors.empty() ? "" : loaded.findings.errors.front().to_string();
}

inline std::string rule(const std::string& condition, const std::string& name = "r") {
  return "- rule: " + name + "\n  desc: d\n  condition: " + condition +
         "\n  output: o %proc.name\n  priority: info\n";
}

// The rules that match a program of that name when it starts, whose folder is /srv.
inline std::string matching(const RuleSet& rules, const std::string& name) {
  FakeHost host;
  event_header header{};
  RuleEvent event;
  event.type = kExecve;
  event.header = &header;
  event.facts = &host.facts();
  event.process = host.facts().add(tree({.name = name, .cwd = "/srv", .args = {name, "a b"}}));
  Evaluation evaluation;
  evaluation.attach(rules.graph());
  evaluation.begin(event);
  std::string out;
  for (const auto& candidate : rules.candidates(kExecve, 0)) {
    if (evaluation.matches(candidate.filter))
      out += (out.empty() ? "" : " ") + candidate.rule->name;
  }
  return out;
}

}  // namespace trivet::security
