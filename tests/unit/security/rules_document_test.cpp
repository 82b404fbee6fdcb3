// SPDX-License-Identifier: Apache-2.0
// docs/rules.md tells the language as the tables of the code have it.
#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "security/rules/definitions.h"
#include "security/rules/operators.h"
#include "security/rules/rule_set.h"
#include "security/rules/transformer.h"

namespace trivet::security {
namespace {

TEST_CASE("the page on rules has every operator, modifier and transformer with its meaning") {
  std::ifstream stream("docs/rules.md");
  const std::string page(std::istreambuf_iterator<char>(stream), {});
  REQUIRE_FALSE(page.empty());
  auto has = [&](std::string_view name, std::string_view meaning) {
    std::string row = "| `" + std::string(name) + "` | " + std::string(meaning) + " |\n";
    CAPTURE(row);
    CHECK(page.find(row) != page.npos);
  };
  for (const auto& info : operators()) has(info.name, info.meaning);
  for (const auto& info : modifiers()) has(info.name, info.meaning);
  for (const auto& transformer : transformers()) has(transformer.usage, transformer.meaning);
  CHECK(page.find("(up to " + std::string(kEngineVersion) + ")") != page.npos);
}

std::string tag_of(const RuleDefinition& rule, std::string_view beginning) {
  auto tag = std::ranges::find_if(rule.tags, [&](auto& one) { return one.starts_with(beginning); });
  return tag == rule.tags.end() ? "" : *tag;
}

TEST_CASE("the page on rules has every shipped rule with its priority and technique, in order") {
  std::ifstream document("docs/rules.md"), shipped("config/rules/trivet_rules.yaml");
  const std::string page(std::istreambuf_iterator<char>(document), {});
  const std::string yaml(std::istreambuf_iterator<char>(shipped), {});
  auto loaded = load_rules({{"trivet_rules.yaml", yaml}}, {});
  CHECK(loaded.findings.errors.empty());
  CHECK(loaded.findings.warnings.empty());
  std::string table = "| rule | priority | ATT&CK | tactic |\n|---|---|---|---|\n";
  for (const auto& status : loaded.rules.statuses()) {
    const auto& rule = status.definition;
    auto tactic = tag_of(rule, "mitre_").substr(std::string_view("mitre_").size());
    std::ranges::replace(tactic, '_', ' ');
    table += "| " + rule.name + " | " + std::string(name_of(rule.priority)) + " | " +
             tag_of(rule, "T1") + " | " + tactic + " |\n";
  }
  CAPTURE(table);
  CHECK(page.find(table + "\n") != page.npos);
}

}  // namespace
}  // namespace trivet::security
