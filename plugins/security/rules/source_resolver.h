// SPDX-License-Identifier: Apache-2.0
// Settles what conditions and outputs read: fields by their names, transformers by their operands'
// types. Used while rules are loaded, on that thread.
#pragma once

#include <variant>

#include "security/rules/condition.h"
#include "security/rules/filter.h"

namespace trivet::security {

class SourceResolver {
 public:
  explicit SourceResolver(FilterGraph& graph) : graph_(graph) {}
  // The source that the operand stands for, an index into the graph's.
  std::variant<std::size_t, ConditionProblem> resolve(const Operand& operand);

 private:
  std::variant<Source, ConditionProblem> source(const Operand& operand);
  std::variant<Source, ConditionProblem> field(const Operand& operand);
  std::variant<Source, ConditionProblem> transformer(const Operand& operand);

  FilterGraph& graph_;
};

// ": did you mean "x"?", or nothing.
std::string suggestion(std::string_view word, const std::vector<std::string>& known);

}  // namespace trivet::security
