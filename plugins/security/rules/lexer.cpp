// SPDX-License-Identifier: Apache-2.0
#include "security/rules/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace trivet::security {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\b';
}
bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
}
// Ends an unquoted word.
bool is_delimiter(char c) {
  return is_space(c) || c == '(' || c == ')' || c == ',' || c == '=' || c == '"' || c == '\'';
}

// Longer ones before their prefixes.
constexpr std::array<std::string_view, 7> kSymbols = {"==", "!=", "<=", ">=", "=", "<", ">"};

struct Escape {
  char letter;
  char meaning;
};
// Falco's. A backslash before a blank is one itself: Falco keeps that for old rules.
constexpr Escape kEscapes[] = {{'b', '\b'}, {'f', '\f'}, {'n', '\n'},  {'r', '\r'},
                               {'t', '\t'}, {' ', '\\'}, {'\\', '\\'}, {'/', '/'}};

}  // namespace

void Lexer::fail(std::size_t offset, std::string message, bool unbuilt) {
  if (!problem_) problem_ = ConditionProblem{offset, std::move(message), unbuilt};
}

void Lexer::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

std::string_view Lexer::peek_name() {
  skip_space();
  auto end = at_;
  while (end < text_.size() && is_name(text_[end])) ++end;
  return text_.substr(at_, end - at_);
}

bool Lexer::take_keyword(std::string_view keyword) {
  if (peek_name() != keyword) return false;
  at_ += keyword.size();
  return true;
}

bool Lexer::take(char c) {
  skip_space();
  if (here() != c) return false;
  ++at_;
  return true;
}

std::string Lexer::next_token() {
  skip_space();
  if (done()) return "the end of the condition";
  auto end = at_ + 1;
  if (is_name(text_[at_])) {
    while (end < text_.size() && is_name(text_[end])) ++end;
  }
  return "\"" + std::string(text_.substr(at_, std::min<std::size_t>(end - at_, 60))) + "\"";
}

const OperatorInfo* Lexer::take_operator() {
  skip_space();
  for (auto symbol : kSymbols) {
    if (text_.substr(at_).starts_with(symbol)) {
      at_ += symbol.size();
      return find_operator(symbol);
    }
  }
  auto word = peek_name();
  const auto* found = find_operator(word);
  if (found) at_ += word.size();
  return found;
}

bool Lexer::escape(char quote, std::string& out) {
  auto start = at_++;
  char letter = here();
  if (letter == quote) {
    out += letter;
  } else if (letter == 'x') {
    unsigned byte = 0;
    auto digits = text_.substr(at_ + 1, 2);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2 || byte == 0) {
      fail(start, "\\x needs two hexadecimal digits that are not 00");
      return false;
    }
    out += static_cast<char>(byte);
    at_ += 2;
  } else {
    const auto* known = std::ranges::find(kEscapes, letter, &Escape::letter);
    if (known == std::end(kEscapes)) {
      fail(start, "\"\\" + std::string(1, letter) +
                      "\" means nothing within quotes: write \"\\\\\" for a backslash");
      return false;
    }
    out += known->meaning;
  }
  ++at_;
  return true;
}

std::optional<Word> Lexer::quoted() {
  Word word{"", at_, true};
  char quote = text_[at_++];
  while (!done() && here() != quote) {
    if (here() != '\\' || at_ + 1 >= text_.size()) {
      word.text += text_[at_++];
    } else if (!escape(quote, word.text)) {
      return std::nullopt;
    }
  }
  if (done()) {
    fail(word.offset, "this quote is never closed: add " + std::string(1, quote));
    return std::nullopt;
  }
  ++at_;
  return word;
}

std::optional<Word> Lexer::value() {
  skip_space();
  if (here() == '"' || here() == '\'') return quoted();
  Word word{"", at_, false};
  while (!done() && !is_delimiter(text_[at_])) word.text += text_[at_++];
  if (word.text.empty()) {
    fail(at_, "expected a value instead of " + next_token());
    return std::nullopt;
  }
  return word;
}

std::optional<std::string> Lexer::bracketed() {
  auto opened = at_++;
  std::string argument;
  if (here() == '"' || here() == '\'') {
    auto word = quoted();
    if (!word) return std::nullopt;
    argument = std::move(word->text);
  } else {
    auto close = std::min(text_.find(']', at_), text_.size());
    argument = text_.substr(at_, close - at_);
    at_ = close;
  }
  if (here() != ']') {
    fail(opened, "this bracket is never closed: add \"]\"");
    return std::nullopt;
  }
  ++at_;
  return argument;
}

}  // namespace trivet::security
