// SPDX-License-Identifier: Apache-2.0
// Falco's exceptions: events that match one of `values` in all `fields` do not match the rule.
// Values; any thread.
#pragma once

#include <string>
#include <vector>

#include "security/rules/item.h"
#include "security/rules/source_text.h"

namespace trivet::security {

struct PlacedText {
  std::string text;
  Place place;
};

// What one field is compared with.
struct ExceptionValue {
  std::vector<PlacedText> words;  // more than one where the operator takes a list
  bool list = false;              // written as one, if only of one word
};

struct ExceptionDefinition {
  std::string name;
  Place place;
  bool single = false;  // one field: each value is a word instead of a list
  std::vector<PlacedText> fields;
  std::vector<PlacedText> operators;                // with their modifiers: "startswith anyof"
  std::vector<std::vector<ExceptionValue>> values;  // for each, one for each field

  // Adds "and not (...)" to a condition; nothing without values.
  void append_to(SourceText& condition) const;
};

// How the exceptions of an item change those that the rule had.
enum class ExceptionChange { define, append, replace };

void read_exceptions(const YamlNode& node, const std::shared_ptr<const TextFile>& file,
                     ExceptionChange change, std::vector<ExceptionDefinition>& exceptions,
                     Findings& findings);

}  // namespace trivet::security
