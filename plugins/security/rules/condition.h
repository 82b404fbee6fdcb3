// SPDX-License-Identifier: Apache-2.0
// The condition language as text and as a tree. The tree knows names and words as they were written
// and where; what they mean is settled by the compiler (compile.h). Values; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace trivet::security {

enum class Operator {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  intersects,
  pmatch,
  starts_with,
  ends_with,
  contains,
  icontains,
  glob,
  iglob,
  exists,
};
std::string_view name_of(Operator op);

// A word of a condition: where it starts in the text, in bytes.
struct Word {
  std::string text;
  std::size_t offset = 0;
  bool quoted = false;  // a quoted word is never a list's name
};

struct Expression {
  enum class Kind { all, any, negation, comparison, macro };
  Kind kind = Kind::all;
  std::vector<std::unique_ptr<Expression>> children;  // of all, any and negation
  Word name;                                          // a macro's, or a comparison's field
  std::string argument;                               // in brackets behind the field
  Operator op = Operator::exists;
  Word op_word;
  std::vector<Word> values;  // one, or those of a list in parentheses; none for exists
};

// Why a condition could not be read or used. `unbuilt`: it is right, but trivet cannot do it yet.
struct ConditionProblem {
  std::size_t offset = 0;
  std::string message;
  bool unbuilt = false;
};

// Parentheses and `not` nest at most this deep.
inline constexpr std::size_t kMaxConditionDepth = 100;

std::variant<std::unique_ptr<Expression>, ConditionProblem> parse_condition(std::string_view text);

}  // namespace trivet::security
