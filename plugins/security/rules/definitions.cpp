// SPDX-License-Identifier: Apache-2.0
#include "security/rules/definitions.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace trivet::security {
namespace {

constexpr std::array<std::string_view, 8> kPriorities = {
    "Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

std::string_view name_of(Priority priority) {
  return kPriorities[static_cast<std::size_t>(priority)];
}

std::optional<Priority> parse_priority(std::string_view text) {
  if (equal_ignoring_case(text, "info")) return Priority::informational;
  for (std::size_t i = 0; i < kPriorities.size(); ++i) {
    if (equal_ignoring_case(text, kPriorities[i])) return static_cast<Priority>(i);
  }
  return std::nullopt;
}

std::vector<std::string> priority_names() {
  return std::vector<std::string>(kPriorities.begin(), kPriorities.end());
}

SourceText RuleDefinition::whole_condition() const {
  SourceText excluded;
  for (const auto& exception : exceptions) exception.append_to(excluded);
  if (excluded.text().empty()) return condition;
  SourceText whole = SourceText::made("(", place);
  whole.append(condition);
  whole.append(SourceText::made(")", place));
  whole.append(excluded);
  return whole;
}

RuleDefinition* Definitions::rule(std::string_view name) {
  auto found = std::ranges::find(rules, name, &RuleDefinition::name);
  return found == rules.end() ? nullptr : &*found;
}

}  // namespace trivet::security
