// SPDX-License-Identifier: Apache-2.0
// A recursive-descent parser:
//
//   any        = all { "or" all }
//   all        = unary { "and" unary }
//   unary      = "not" unary | "(" any ")" | comparison | macro
//   comparison = field "exists" | field operator word | field set-operator "(" [ word { "," word }
//   ] ")"
#include "security/rules/condition.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

namespace trivet::security {
namespace {

struct OperatorName {
  std::string_view name;
  Operator op;
};
// Longer names before their prefixes.
constexpr OperatorName kSymbols[] = {
    {"==", Operator::equal},         {"!=", Operator::not_equal}, {"<=", Operator::less_equal},
    {">=", Operator::greater_equal}, {"=", Operator::equal},      {"<", Operator::less},
    {">", Operator::greater},
};
constexpr OperatorName kWords[] = {
    {"in", Operator::in},
    {"intersects", Operator::intersects},
    {"pmatch", Operator::pmatch},
    {"startswith", Operator::starts_with},
    {"endswith", Operator::ends_with},
    {"contains", Operator::contains},
    {"icontains", Operator::icontains},
    {"glob", Operator::glob},
    {"iglob", Operator::iglob},
    {"exists", Operator::exists},
};
constexpr std::array<std::string_view, 3> kUnbuiltOperators = {"regex", "bcontains", "bstartswith"};
constexpr std::array<std::string_view, 9> kTransformers = {
    "tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt", "val"};
constexpr std::array<std::string_view, 3> kModifiers = {"oneof", "anyof", "allof"};

constexpr std::string_view kOperatorList =
    "=, !=, <, <=, >, >=, in, intersects, pmatch, startswith, endswith, contains, icontains, glob, "
    "iglob or exists";

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

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::variant<std::unique_ptr<Expression>, ConditionProblem> run() {
    auto root = any(0);
    skip_space();
    if (root && at_ < text_.size()) {
      if (text_[at_] == ')') {
        root = fail("a parenthesis is closed that was not opened: remove it");
      } else {
        root = fail("expected \"and\" or \"or\" before " + next_token());
      }
    }
    if (!root) return *problem_;
    return root;
  }

 private:
  using Node = std::unique_ptr<Expression>;

  Node fail_at(std::size_t offset, std::string message, bool unbuilt = false) {
    if (!problem_) problem_ = ConditionProblem{offset, std::move(message), unbuilt};
    return nullptr;
  }
  Node fail(std::string message) { return fail_at(at_, std::move(message)); }

  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  // What is next, for a message.
  std::string next_token() {
    skip_space();
    if (at_ >= text_.size()) return "the end of the condition";
    auto end = at_ + 1;
    if (is_name(text_[at_])) {
      while (end < text_.size() && is_name(text_[end])) ++end;
    }
    return "\"" + std::string(text_.substr(at_, std::min<std::size_t>(end - at_, 60))) + "\"";
  }
  // The word of letters, digits, dots and underscores that is next; empty if there is none.
  std::string_view peek_name() {
    skip_space();
    auto end = at_;
    while (end < text_.size() && is_name(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  bool take_keyword(std::string_view keyword) {
    if (peek_name() != keyword) return false;
    at_ += keyword.size();
    return true;
  }
  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  template <class Operand>
  Node chain(Expression::Kind kind, std::string_view keyword, Operand operand) {
    Node first = operand();
    if (!first || peek_name() != keyword) return first;
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->children.push_back(std::move(first));
    while (take_keyword(keyword)) {
      Node next = operand();
      if (!next) return nullptr;
      node->children.push_back(std::move(next));
    }
    return node;
  }
  Node any(std::size_t depth) {
    return chain(Expression::Kind::any, "or", [&] { return all(depth); });
  }
  Node all(std::size_t depth) {
    return chain(Expression::Kind::all, "and", [&] { return unary(depth); });
  }

  Node unary(std::size_t depth) {
    if (depth >= kMaxConditionDepth) {
      return fail("parentheses and \"not\" nest deeper than " + std::to_string(kMaxConditionDepth) +
                  " levels: move a part into a macro");
    }
    if (take_keyword("not")) {
      Node operand = unary(depth + 1);
      if (!operand) return nullptr;
      auto node = std::make_unique<Expression>();
      node->kind = Expression::Kind::negation;
      node->children.push_back(std::move(operand));
      return node;
    }
    skip_space();
    auto opened = at_;
    if (take('(')) {
      Node inner = any(depth + 1);
      if (!inner) return nullptr;
      if (take(')')) return inner;
      if (at_ < text_.size())
        return fail("expected \"and\", \"or\" or \")\" before " + next_token());
      return fail_at(opened, "this parenthesis is never closed: add \")\"");
    }
    return comparison_or_macro();
  }

  Node comparison_or_macro() {
    auto name = peek_name();
    auto start = at_;
    if (name.empty())
      return fail("expected a field, a macro, \"not\" or \"(\" instead of " + next_token());
    if (name == "and" || name == "or") {
      return fail("\"" + std::string(name) + "\" needs a condition on its left");
    }
    at_ += name.size();
    auto node = std::make_unique<Expression>();
    node->name = {std::string(name), start, false};
    if (at_ < text_.size() && text_[at_] == '(' &&
        std::ranges::find(kTransformers, name) != kTransformers.end()) {
      return fail_at(start, "the transformer " + std::string(name) + "() is not built yet", true);
    }
    if (at_ < text_.size() && text_[at_] == '[') {
      auto close = text_.find(']', at_);
      if (close == text_.npos) return fail("this bracket is never closed: add \"]\"");
      node->argument = std::string(text_.substr(at_ + 1, close - at_ - 1));
      at_ = close + 1;
    }
    auto op = take_operator(*node);
    if (problem_) return nullptr;
    if (!op) {
      bool macro = name.find('.') == name.npos && node->argument.empty();
      if (!macro) {
        return fail("expected an operator after " + std::string(name) + " (" +
                    std::string(kOperatorList) + ") instead of " + next_token());
      }
      node->kind = Expression::Kind::macro;
      return node;
    }
    node->kind = Expression::Kind::comparison;
    node->op = *op;
    if (node->op == Operator::exists) return node;
    return values(std::move(node));
  }

  std::optional<Operator> take_operator(Expression& node) {
    skip_space();
    auto start = at_;
    for (const auto& symbol : kSymbols) {
      if (text_.substr(at_).starts_with(symbol.name)) {
        at_ += symbol.name.size();
        node.op_word = {std::string(symbol.name), start, false};
        return symbol.op;
      }
    }
    auto word = peek_name();
    for (const auto& known : kWords) {
      if (word == known.name) {
        at_ += word.size();
        node.op_word = {std::string(word), start, false};
        return known.op;
      }
    }
    if (std::ranges::find(kUnbuiltOperators, word) != kUnbuiltOperators.end()) {
      fail_at(start, "the operator " + std::string(word) + " is not built yet", true);
    }
    return std::nullopt;
  }

  Node values(Node node) {
    bool set = node->op == Operator::in || node->op == Operator::intersects ||
               node->op == Operator::pmatch;
    auto modifier = peek_name();
    if (std::ranges::find(kModifiers, modifier) != kModifiers.end()) {
      auto after = at_ + modifier.size();
      while (after < text_.size() && is_space(text_[after])) ++after;
      if (after < text_.size() && text_[after] == '(') {
        return fail_at(at_, "the modifier " + std::string(modifier) + " is not built yet", true);
      }
    }
    if (!set) {
      auto word = value();
      if (!word) return nullptr;
      if (!word->quoted && at_ < text_.size() && text_[at_] == '(' &&
          std::ranges::find(kTransformers, word->text) != kTransformers.end()) {
        return fail_at(word->offset, "the transformer " + word->text + "() is not built yet", true);
      }
      node->values.push_back(std::move(*word));
      return node;
    }
    skip_space();
    auto opened = at_;
    if (!take('(')) {
      return fail("expected a list in parentheses after " + node->op_word.text + " instead of " +
                  next_token());
    }
    if (take(')')) return node;
    while (true) {
      auto word = value();
      if (!word) return nullptr;
      node->values.push_back(std::move(*word));
      if (take(')')) return node;
      if (at_ >= text_.size()) return fail_at(opened, "this list is never closed: add \")\"");
      if (!take(',')) return fail("expected \",\" or \")\" in the list instead of " + next_token());
    }
  }

  std::optional<Word> value() {
    skip_space();
    Word word{"", at_, false};
    if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) {
      char quote = text_[at_++];
      word.quoted = true;
      while (at_ < text_.size() && text_[at_] != quote) {
        // Only what would else end the text, and the backslash itself, is escaped: globs keep
        // theirs.
        if (text_[at_] == '\\' && at_ + 1 < text_.size() &&
            (text_[at_ + 1] == quote || text_[at_ + 1] == '\\')) {
          ++at_;
        }
        word.text += text_[at_++];
      }
      if (at_ >= text_.size()) {
        fail_at(word.offset, "this quote is never closed: add " + std::string(1, quote));
        return std::nullopt;
      }
      ++at_;
      return word;
    }
    while (at_ < text_.size() && !is_delimiter(text_[at_])) word.text += text_[at_++];
    if (word.text.empty()) {
      fail("expected a value instead of " + next_token());
      return std::nullopt;
    }
    return word;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::optional<ConditionProblem> problem_;
};

}  // namespace

std::string_view name_of(Operator op) {
  for (const auto& symbol : kSymbols) {
    // "==" comes first: both spell the same.
    if (symbol.op == op && symbol.name != "==") return symbol.name;
  }
  for (const auto& word : kWords) {
    if (word.op == op) return word.name;
  }
  return "?";
}

std::variant<std::unique_ptr<Expression>, ConditionProblem> parse_condition(std::string_view text) {
  return Parser(text).run();
}

}  // namespace trivet::security
