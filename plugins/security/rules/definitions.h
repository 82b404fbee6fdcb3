// SPDX-License-Identifier: Apache-2.0
// What rule files define, before names are resolved: later files replace or extend earlier ones.
// Values; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "security/rules/condition.h"
#include "security/rules/source_text.h"
#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet::security {

// Falco's, most urgent first.
enum class Priority {
  emergency,
  alert,
  critical,
  error,
  warning,
  notice,
  informational,
  debug,
};
// As Falco prints it: "Warning".
std::string_view name_of(Priority priority);
// As people write it: any case, "info" and "informational".
std::optional<Priority> parse_priority(std::string_view text);
std::vector<std::string> priority_names();

struct ListDefinition {
  Place place;
  std::vector<Word> items;  // offsets are unused; an unquoted item may name a list
};

struct MacroDefinition {
  Place place;
  SourceText condition;
};

// Falco's exceptions: events that match one of `values` in all `fields` do not match the rule.
struct ExceptionDefinition {
  std::string name;
  Place place;
  bool single = false;  // one field: each value is a word instead of a list
  std::vector<std::string> fields;
  std::vector<std::string> operators;
  // For each value, for each field, the words (more than one after `in`).
  std::vector<std::vector<std::vector<std::string>>> values;
};

struct RuleDefinition {
  std::string name;
  Place place;
  SourceText condition;
  SourceText output;
  std::string description;
  Priority priority = Priority::debug;
  std::string source = "syscall";
  std::vector<std::string> tags;
  bool enabled = true;
  bool skip_if_unknown = false;
  std::vector<ExceptionDefinition> exceptions;

  // The condition with its exceptions written out.
  SourceText whole_condition() const;
};

struct Definitions {
  std::map<std::string, ListDefinition> lists;
  std::map<std::string, MacroDefinition> macros;
  std::vector<RuleDefinition> rules;  // in the order of their first definition

  RuleDefinition* rule(std::string_view name);
};

// Adds what a file defines; what is wrong in it goes to `errors`, at most kMaxRuleErrors in all.
void read_rule_file(const TextFile& file, Definitions& definitions, std::vector<Error>& errors);

inline constexpr std::size_t kMaxRuleErrors = 50;

}  // namespace trivet::security
