// SPDX-License-Identifier: Apache-2.0
// Settles what the names in conditions mean: fields, lists, macros. One Compiler serves the rules
// of one load; it is used while rules are loaded, on that thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "security/rules/definitions.h"
#include "security/rules/filter.h"
#include "security/rules/output_template.h"

namespace trivet::security {

// Why a condition cannot be used, at its place.
struct CompileProblem {
  Error error;
  bool unbuilt = false;  // the rule is right; trivet cannot judge it yet
};

class Compiler {
 public:
  explicit Compiler(const Definitions& definitions) : definitions_(definitions) {}

  std::variant<std::shared_ptr<const Filter>, CompileProblem> condition(const SourceText& source);
  std::variant<OutputTemplate, CompileProblem> output(const SourceText& source);
  // Compiles every macro; answers what is wrong in any, used or not, once each.
  std::vector<CompileProblem> check_macros();

  // The sizes that an Evaluation needs.
  std::size_t slots() const { return slots_.size(); }
  std::size_t memos() const { return memos_; }

 private:
  using Compiled = std::variant<std::shared_ptr<const Filter>, CompileProblem>;

  Compiled compile(const SourceText& source, const Expression& expression);
  Compiled group(const SourceText& source, const Expression& expression);
  Compiled comparison(const SourceText& source, const Expression& expression);
  Compiled macro(const SourceText& source, const Word& name);
  std::variant<FieldUse, ConditionProblem> field(std::string_view name, std::string_view argument,
                                                 std::size_t offset);
  std::optional<ConditionProblem> constants(const Expression& expression, Test& test);
  // The words of a set, lists replaced by their items.
  std::variant<std::vector<Word>, ConditionProblem> expand(const Expression& expression);
  const std::vector<Word>* list(const std::string& name, std::size_t depth);

  const Definitions& definitions_;
  std::map<std::pair<const Field*, std::string>, std::size_t> slots_;
  std::size_t memos_ = 0;
  std::map<std::string, Compiled> macros_;
  std::vector<std::string> open_macros_;            // being compiled, outermost first
  std::map<std::string, std::vector<Word>> lists_;  // expanded
  std::size_t list_words_ = 0;
};

}  // namespace trivet::security
