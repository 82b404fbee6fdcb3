// SPDX-License-Identifier: Apache-2.0
// What rule files define, before names are resolved: later files replace or extend earlier ones.
// Values; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "security/rules/exceptions.h"
#include "security/rules/item.h"
#include "security/rules/lexer.h"
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
  bool warn_event_types = true;
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

// Adds what a file defines.
void read_rule_file(const TextFile& file, Definitions& definitions, Findings& findings);

// Falco's engine whose language this is: what a file may ask for with required_engine_version.
inline constexpr std::string_view kEngineVersion = "0.63.0";

}  // namespace trivet::security
