// SPDX-License-Identifier: Apache-2.0
// The words of conditions and outputs. Used by one parser at a time, on the thread that loads.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "security/rules/operators.h"

namespace trivet::security {

// A word of a condition: where it starts in the text, in bytes.
struct Word {
  std::string text;
  std::size_t offset = 0;
  bool quoted = false;  // a quoted word is never a list's name
};

// Why a condition could not be read or used. `unbuilt`: it is right, but trivet cannot do it yet.
struct ConditionProblem {
  std::size_t offset = 0;
  std::string message;
  bool unbuilt = false;
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::size_t at() const { return at_; }
  void move_to(std::size_t at) { at_ = at; }
  bool done() const { return at_ >= text_.size(); }
  // What is at the place, blanks included; NUL behind the end.
  char here() const { return done() ? '\0' : text_[at_]; }
  void skip_space();

  // The word of letters, digits, dots and underscores that is next; empty if there is none.
  std::string_view peek_name();
  // Moves behind a word if it is next.
  bool take_keyword(std::string_view keyword);
  bool take(char c);
  // What is next, for a message.
  std::string next_token();

  // An operator, or nothing without moving.
  const OperatorInfo* take_operator();
  // A value: quoted, with its escapes undone, or bare. Fails where none is.
  std::optional<Word> value();
  // What is in the brackets at the place, quoted or bare.
  std::optional<std::string> bracketed();

  // Why the last call failed.
  const std::optional<ConditionProblem>& problem() const { return problem_; }
  // Keeps the first problem.
  void fail(std::size_t offset, std::string message, bool unbuilt = false);

 private:
  std::optional<Word> quoted();
  bool escape(char quote, std::string& out);

  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<ConditionProblem> problem_;
};

}  // namespace trivet::security
