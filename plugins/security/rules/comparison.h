// SPDX-License-Identifier: Apache-2.0
// One comparison of a condition, ready to be judged: constants parsed for the field's type, sets
// hashed, paths in a tree. Immutable once made; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "security/rules/address_set.h"
#include "security/rules/lexer.h"
#include "security/rules/path_tree.h"
#include "security/rules/pattern.h"
#include "security/rules/text_set.h"
#include "security/rules/transformer.h"

namespace trivet::security {

struct Comparison {
  std::size_t left = 0;              // a source of the filter
  std::optional<std::size_t> right;  // another, instead of constants
  ValueType type;                    // of the left side
  Operator op = Operator::exists;
  Modifier modifier = Modifier::none;
  // Of several values each has to differ, not any: addresses and ports at both ends.
  bool each_must_differ = false;

  // Of the constants, those that fit the type and the operator are filled.
  std::vector<std::string> texts;
  std::vector<Pattern> patterns;
  TextSet text_set;
  PathTree paths;
  std::vector<std::int64_t> numbers;  // sorted where they are a set
  std::vector<AddressRange> ranges;
  AddressSet address_set;
  std::vector<bool> truths;

  // Judges values; no value is never a match. `other` is the right source's.
  bool matches(const FieldValue& value, const FieldValue& other) const;
  // What judging costs, about, and how likely a match is: to judge the cheapest, most telling part
  // of a condition first.
  double cost() const;
  double chance() const;

  std::size_t constants() const;
};

// Whether values of the type can be compared so; else why not, in words that follow the field's
// name.
std::optional<std::string> unfit(Operator op, Modifier modifier, const ValueType& type);

// Parses `words` for comparison.type; `field` is the name that a problem tells.
std::optional<ConditionProblem> set_constants(Comparison& comparison, std::vector<Word> words,
                                              std::string_view field);

std::optional<std::int64_t> parse_number(std::string_view text);

}  // namespace trivet::security
