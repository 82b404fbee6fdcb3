// SPDX-License-Identifier: Apache-2.0
// A recursive-descent parser:
//
//   any         = all { "or" all }
//   all         = unary { "and" unary }
//   unary       = "not" unary | "(" any ")" | comparison | macro
//   comparison  = operand "exists" | operand operator right | operand operator modifier list
//   right       = value | list | name-of-a-list | transformer | "val" "(" field ")"
//   list        = "(" [ value { "," value } ] ")"
//   operand     = field [ "[" argument "]" ] | transformer
//   transformer = name "(" inner { "," inner } ")" [ "[" argument "]" ]
//   inner       = operand | quoted-value | list
#include "security/rules/condition.h"

#include <algorithm>
#include <utility>

#include "security/rules/transformer.h"

namespace trivet::security {
namespace {

// The list in parentheses at the lexer's place.
std::optional<std::vector<Word>> parse_list(Lexer& lexer) {
  auto opened = lexer.at();
  std::vector<Word> words;
  lexer.take('(');
  if (lexer.take(')')) return words;
  while (true) {
    auto word = lexer.value();
    if (!word) return std::nullopt;
    words.push_back(std::move(*word));
    if (lexer.take(')')) return words;
    if (lexer.done()) {
      lexer.fail(opened, "this list is never closed: add \")\"");
      return std::nullopt;
    }
    if (!lexer.take(',')) {
      lexer.fail(lexer.at(),
                 "expected \",\" or \")\" in the list instead of " + lexer.next_token());
      return std::nullopt;
    }
  }
}

class OperandParser {
 public:
  explicit OperandParser(Lexer& lexer) : lexer_(lexer) {}

  std::optional<Operand> operand(std::size_t depth) {
    auto name = lexer_.peek_name();
    auto start = lexer_.at();
    if (name.empty()) {
      lexer_.fail(start, "expected a field instead of " + lexer_.next_token());
      return std::nullopt;
    }
    Operand out;
    out.name = {std::string(name), start, false};
    lexer_.move_to(start + name.size());
    if (lexer_.here() == '(' && find_transformer(name)) {
      out.kind = Operand::Kind::transformer;
      if (!inner_list(out, depth)) return std::nullopt;
    }
    if (lexer_.here() == '[') {
      auto argument = lexer_.bracketed();
      if (!argument) return std::nullopt;
      out.argument = std::move(*argument);
    }
    return out;
  }

 private:
  // What is in the parentheses at the place.
  bool inner_list(Operand& out, std::size_t depth) {
    auto opened = lexer_.at();
    if (depth >= kMaxConditionDepth) {
      lexer_.fail(opened, "transformers nest too deep here");
      return false;
    }
    lexer_.take('(');
    if (lexer_.take(')')) return true;
    while (true) {
      auto item = inner(depth + 1);
      if (!item) return false;
      out.operands.push_back(std::move(*item));
      if (lexer_.take(')')) return true;
      if (lexer_.done()) {
        lexer_.fail(opened, "this parenthesis is never closed: add \")\"");
        return false;
      }
      if (!lexer_.take(',')) {
        lexer_.fail(lexer_.at(), "expected \",\" or \")\" instead of " + lexer_.next_token());
        return false;
      }
    }
  }

  std::optional<Operand> inner(std::size_t depth) {
    lexer_.skip_space();
    char next = lexer_.here();
    if (next != '"' && next != '\'' && next != '(') return operand(depth);
    Operand out;
    out.name.offset = lexer_.at();
    if (next != '(') {
      auto text = lexer_.value();
      if (!text) return std::nullopt;
      out.kind = Operand::Kind::text;
      out.name = std::move(*text);
      return out;
    }
    out.kind = Operand::Kind::list;
    auto words = parse_list(lexer_);
    if (!words) return std::nullopt;
    for (auto& word : *words)
      out.operands.push_back({Operand::Kind::text, std::move(word), {}, {}});
    return out;
  }

  Lexer& lexer_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  std::variant<std::unique_ptr<Expression>, ConditionProblem> run() {
    auto root = any(0);
    lexer_.skip_space();
    if (root && !lexer_.done()) {
      if (lexer_.here() == ')') {
        root = fail("a parenthesis is closed that was not opened: remove it");
      } else {
        root = fail("expected \"and\" or \"or\" before " + lexer_.next_token());
      }
    }
    if (!root) return *lexer_.problem();
    return root;
  }

 private:
  using Node = std::unique_ptr<Expression>;

  Node fail_at(std::size_t offset, std::string message) {
    lexer_.fail(offset, std::move(message));
    return nullptr;
  }
  Node fail(std::string message) { return fail_at(lexer_.at(), std::move(message)); }

  template <class Part>
  Node chain(Expression::Kind kind, std::string_view keyword, Part part) {
    Node first = part();
    if (!first || lexer_.peek_name() != keyword) return first;
    auto node = std::make_unique<Expression>();
    node->kind = kind;
    node->children.push_back(std::move(first));
    while (lexer_.take_keyword(keyword)) {
      Node next = part();
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
    if (lexer_.take_keyword("not")) {
      Node operand = unary(depth + 1);
      if (!operand) return nullptr;
      auto node = std::make_unique<Expression>();
      node->kind = Expression::Kind::negation;
      node->children.push_back(std::move(operand));
      return node;
    }
    lexer_.skip_space();
    auto opened = lexer_.at();
    if (lexer_.take('(')) {
      Node inner = any(depth + 1);
      if (!inner) return nullptr;
      if (lexer_.take(')')) return inner;
      if (!lexer_.done()) {
        return fail("expected \"and\", \"or\" or \")\" before " + lexer_.next_token());
      }
      return fail_at(opened, "this parenthesis is never closed: add \")\"");
    }
    return comparison_or_macro();
  }

  Node comparison_or_macro() {
    auto name = std::string(lexer_.peek_name());
    if (name.empty()) {
      return fail("expected a field, a macro, \"not\" or \"(\" instead of " + lexer_.next_token());
    }
    if (name == "and" || name == "or") {
      return fail("\"" + name + "\" needs a condition on its left");
    }
    auto left = OperandParser(lexer_).operand(0);
    if (!left) return nullptr;
    auto node = std::make_unique<Expression>();
    lexer_.skip_space();
    auto op_offset = lexer_.at();
    const OperatorInfo* op = lexer_.take_operator();
    if (!op) {
      bool macro = left->kind == Operand::Kind::field && !left->argument &&
                   name.find('.') == name.npos && !find_transformer(name);
      if (!macro) {
        return fail("expected an operator after " + name + " (" + operator_names() +
                    ") instead of " + lexer_.next_token());
      }
      node->kind = Expression::Kind::macro;
      node->name = std::move(left->name);
      return node;
    }
    node->kind = Expression::Kind::comparison;
    node->left = std::move(*left);
    node->op = op->op;
    node->op_word = {std::string(op->name), op_offset, false};
    if (op->right == RightSide::nothing) return node;
    return right_side(std::move(node), *op);
  }

  Node right_side(Node node, const OperatorInfo& op) {
    lexer_.skip_space();
    if (auto word = lexer_.peek_name(); !word.empty()) {
      auto start = lexer_.at();
      lexer_.move_to(start + word.size());
      if (const auto* modifier = find_modifier(word); modifier && takes_list()) {
        if (op.right == RightSide::list) {
          return fail_at(start, std::string(op.name) + " takes no " + std::string(word) +
                                    ": it takes a list already");
        }
        node->modifier = modifier->modifier;
        return list(std::move(node));
      }
      bool computed = lexer_.here() == '(' && (word == "val" || find_transformer(word));
      lexer_.move_to(start);
      if (computed) return computed_side(std::move(node));
    }
    if (op.right == RightSide::list && lexer_.here() == '(') return list(std::move(node));
    if (op.right == RightSide::list && (lexer_.done() || lexer_.peek_name().empty())) {
      return fail("expected a list in parentheses after " + node->op_word.text + " instead of " +
                  lexer_.next_token());
    }
    auto word = lexer_.value();
    if (!word) return nullptr;
    node->values.push_back(std::move(*word));
    return node;
  }

  bool takes_list() {
    lexer_.skip_space();
    return lexer_.here() == '(';
  }

  Node list(Node node) {
    auto words = parse_list(lexer_);
    if (!words) return nullptr;
    node->values = std::move(*words);
    return node;
  }

  // Another field, to be read for each event.
  Node computed_side(Node node) {
    if (lexer_.peek_name() != "val") {
      node->right = OperandParser(lexer_).operand(0);
      return node->right ? std::move(node) : nullptr;
    }
    lexer_.take_keyword("val");
    auto opened = lexer_.at();
    lexer_.take('(');
    node->right = OperandParser(lexer_).operand(0);
    if (!node->right) return nullptr;
    if (node->right->kind != Operand::Kind::field) {
      return fail_at(node->right->name.offset, "val() takes a field: transformers need none");
    }
    if (!lexer_.take(')')) return fail_at(opened, "this parenthesis is never closed: add \")\"");
    return node;
  }

  Lexer lexer_;
};

}  // namespace

std::variant<std::unique_ptr<Expression>, ConditionProblem> parse_condition(std::string_view text) {
  return Parser(text).run();
}

std::optional<Operand> parse_operand(Lexer& lexer) {
  return OperandParser(lexer).operand(0);
}

}  // namespace trivet::security
