// SPDX-License-Identifier: Apache-2.0
// Settles what the names in conditions mean and puts conditions into the graph: fields, lists,
// macros. One Compiler serves the rules of one load; it is used while rules are loaded, on that
// thread.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "security/rules/definitions.h"
#include "security/rules/filter.h"
#include "security/rules/lists.h"
#include "security/rules/output_template.h"
#include "security/rules/source_resolver.h"

namespace trivet::security {

// Why a condition cannot be used, at its place.
struct CompileProblem {
  Error error;
  bool unbuilt = false;  // the rule is right; trivet cannot judge it yet
};

class Compiler {
 public:
  Compiler(const Definitions& definitions, FilterGraph& graph)
      : definitions_(definitions), graph_(graph), sources_(graph), lists_(definitions.lists) {}

  std::variant<NodeId, CompileProblem> condition(const SourceText& source);
  std::variant<OutputTemplate, CompileProblem> output(const SourceText& source);
  // Compiles every macro; answers what is wrong in any, used or not, once each, up to what can be
  // told.
  std::vector<CompileProblem> check_macros();

 private:
  using Compiled = std::variant<NodeId, CompileProblem>;

  Compiled compile(const SourceText& source, const Expression& expression);
  Compiled group(const SourceText& source, const Expression& expression);
  Compiled macro(const SourceText& source, const Word& name);
  std::variant<NodeId, ConditionProblem> comparison(const Expression& expression);
  std::optional<ConditionProblem> right_field(const Expression& expression, Comparison& out);
  // The words on the right, lists written out.
  std::variant<std::vector<Word>, ConditionProblem> words(const Expression& expression);

  const Definitions& definitions_;
  FilterGraph& graph_;
  SourceResolver sources_;
  Lists lists_;
  std::map<std::string, Compiled> macros_;
  std::vector<std::string> open_macros_;  // being compiled, outermost first
};

}  // namespace trivet::security
