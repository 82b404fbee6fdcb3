// SPDX-License-Identifier: Apache-2.0
// The condition language as text and as a tree. The tree knows names and words as they were written
// and where; what they mean is settled by the compiler (compiler.h). Values; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "security/rules/lexer.h"

namespace trivet::security {

// What a comparison takes a value from.
struct Operand {
  enum class Kind { field, text, list, transformer };
  Kind kind = Kind::field;
  Word name;                            // the field's, the transformer's, or the text
  std::optional<std::string> argument;  // in brackets behind a field or a transformer
  std::vector<Operand> operands;        // of a transformer; the texts of a list
};

struct Expression {
  enum class Kind { all, any, negation, comparison, macro };
  Kind kind = Kind::all;
  std::vector<std::unique_ptr<Expression>> children;  // of all, any and negation
  Word name;                                          // a macro's
  // Of a comparison.
  Operand left;
  Operator op = Operator::exists;
  Modifier modifier = Modifier::none;
  Word op_word;
  std::vector<Word> values;      // one, or those of a list
  std::optional<Operand> right;  // instead of values: a transformer, or what val() names
};

// Parentheses, `not` and transformers nest at most this deep.
inline constexpr std::size_t kMaxConditionDepth = 100;

std::variant<std::unique_ptr<Expression>, ConditionProblem> parse_condition(std::string_view text);

// The operand that is next: a field, or a transformer of operands; within a transformer also texts
// and lists of them. Nothing if there is none: the lexer knows why.
std::optional<Operand> parse_operand(Lexer& lexer);

}  // namespace trivet::security
