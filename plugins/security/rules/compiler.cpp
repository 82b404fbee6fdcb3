// SPDX-License-Identifier: Apache-2.0
#include "security/rules/compiler.h"

#include <algorithm>

namespace trivet::security {
namespace {

// Macros within macros: bounds the recursion when a filter is judged.
constexpr std::size_t kMaxFilterDepth = 400;

CompileProblem at_place(const SourceText& source, const ConditionProblem& problem) {
  return {{problem.message, 0, source.at(problem.offset)}, problem.unbuilt};
}

// As the condition names what is on its left.
std::string shown(const Operand& operand) {
  return operand.kind == Operand::Kind::transformer ? operand.name.text + "()" : operand.name.text;
}

// Says all that a comparison says. Words stay as written: a list means the same everywhere.
std::string key_of(const Expression& expression, const Comparison& comparison) {
  std::string key = std::to_string(comparison.left) + " " +
                    std::string(info_of(comparison.op).name) + " " +
                    std::to_string(static_cast<int>(comparison.modifier));
  if (comparison.right) return key + " val " + std::to_string(*comparison.right);
  for (const auto& word : expression.values) {
    key += (word.quoted ? " \"" : " ") + std::to_string(word.text.size()) + ":" + word.text;
  }
  return key;
}

// evt.type knows the names of system calls; the kernel tells an execveat as the exec that it is.
std::optional<ConditionProblem> settle_event_types(Operator op, std::vector<Word>& words) {
  bool whole = op == Operator::equal || op == Operator::not_equal || op == Operator::in ||
               op == Operator::intersects;
  if (!whole) return std::nullopt;
  for (auto& word : words) {
    if (!is_event_type(word.text)) {
      return ConditionProblem{word.offset, "unknown event type \"" + word.text + "\"" +
                                               suggestion(word.text, event_type_names())};
    }
    if (word.text == "execveat") word.text = "execve";
  }
  return std::nullopt;
}

}  // namespace

std::variant<NodeId, CompileProblem> Compiler::condition(const SourceText& source) {
  auto parsed = parse_condition(source.text());
  if (auto problem = std::get_if<ConditionProblem>(&parsed)) return at_place(source, *problem);
  return compile(source, *std::get<std::unique_ptr<Expression>>(parsed));
}

std::variant<OutputTemplate, CompileProblem> Compiler::output(const SourceText& source) {
  auto parsed = OutputTemplate::parse(source.text(), sources_);
  if (auto problem = std::get_if<ConditionProblem>(&parsed)) return at_place(source, *problem);
  return std::get<OutputTemplate>(std::move(parsed));
}

std::vector<CompileProblem> Compiler::check_macros() {
  std::vector<CompileProblem> problems;
  for (const auto& [name, definition] : definitions_.macros) {
    auto compiled = macro(definition.condition, {name, 0, false});
    auto problem = std::get_if<CompileProblem>(&compiled);
    // What is wrong in a macro is found again in each that uses it.
    if (problem && std::ranges::none_of(problems, [&](const CompileProblem& other) {
          return other.error.to_string() == problem->error.to_string();
        })) {
      problems.push_back(*problem);
    }
    if (problems.size() >= Findings::kMost) break;
  }
  return problems;
}

Compiler::Compiled Compiler::compile(const SourceText& source, const Expression& expression) {
  switch (expression.kind) {
    case Expression::Kind::comparison: {
      auto node = comparison(expression);
      if (auto problem = std::get_if<ConditionProblem>(&node)) return at_place(source, *problem);
      return std::get<NodeId>(node);
    }
    case Expression::Kind::macro:
      return macro(source, expression.name);
    default:
      return group(source, expression);
  }
}

Compiler::Compiled Compiler::group(const SourceText& source, const Expression& expression) {
  std::vector<NodeId> parts;
  for (const auto& child : expression.children) {
    auto compiled = compile(source, *child);
    if (std::holds_alternative<CompileProblem>(compiled)) return compiled;
    parts.push_back(std::get<NodeId>(compiled));
  }
  NodeId node = expression.kind == Expression::Kind::all   ? graph_.all(std::move(parts))
                : expression.kind == Expression::Kind::any ? graph_.any(std::move(parts))
                                                           : graph_.negation(parts.front());
  if (graph_.node(node).depth > kMaxFilterDepth) {
    return at_place(source, {0, "macros nest too deep here: simplify them"});
  }
  if (graph_.full()) {
    return at_place(source, {0, "the rules together hold more than " +
                                    std::to_string(FilterGraph::kMaxNodes) + " comparisons"});
  }
  return node;
}

Compiler::Compiled Compiler::macro(const SourceText& source, const Word& name) {
  if (auto done = macros_.find(name.text); done != macros_.end()) return done->second;
  auto defined = definitions_.macros.find(name.text);
  if (defined == definitions_.macros.end()) {
    std::vector<std::string> known;
    for (const auto& [macro, definition] : definitions_.macros) known.push_back(macro);
    auto near = suggestion(name.text, known);
    return at_place(source,
                    {name.offset, "unknown macro \"" + name.text + "\"" +
                                      (near.empty() ? ": define it, or compare a field" : near)});
  }
  if (std::ranges::find(open_macros_, name.text) != open_macros_.end()) {
    return at_place(source, {name.offset, "the macro \"" + name.text + "\" uses itself"});
  }
  if (open_macros_.size() >= kMaxConditionDepth) {
    return at_place(source, {name.offset, "macros nest too deep here: simplify them"});
  }
  open_macros_.push_back(name.text);
  auto compiled = condition(defined->second.condition);
  open_macros_.pop_back();
  return macros_.emplace(name.text, std::move(compiled)).first->second;
}

std::variant<NodeId, ConditionProblem> Compiler::comparison(const Expression& expression) {
  auto left = sources_.resolve(expression.left);
  if (auto problem = std::get_if<ConditionProblem>(&left)) return *problem;
  Comparison out;
  out.left = std::get<std::size_t>(left);
  out.op = expression.op;
  out.modifier = expression.modifier;
  const Field* field = graph_.sources()[out.left].field;
  out.type = graph_.sources()[out.left].type;
  out.each_must_differ =
      field && out.type.plurality == Plurality::any && field->name.starts_with("fd.");
  auto name = shown(expression.left);
  if (auto why = unfit(out.op, out.modifier, out.type)) {
    return ConditionProblem{expression.op_word.offset, name + " " + *why};
  }
  if (expression.right) {
    if (auto problem = right_field(expression, out)) return *problem;
  }
  auto key = key_of(expression, out);
  if (const NodeId* known = graph_.find_comparison(key)) return *known;
  if (!expression.right && out.op != Operator::exists) {
    auto expanded = words(expression);
    if (auto problem = std::get_if<ConditionProblem>(&expanded)) return *problem;
    auto& constants = std::get<std::vector<Word>>(expanded);
    if (field && field->name == "evt.type") {
      if (auto problem = settle_event_types(out.op, constants)) return *problem;
    }
    if (constants.empty()) return FilterGraph::kNever;
    if (auto problem = set_constants(out, std::move(constants), name)) return *problem;
  }
  return graph_.comparison(key, std::move(out));
}

std::optional<ConditionProblem> Compiler::right_field(const Expression& expression,
                                                      Comparison& out) {
  auto offset = expression.right->name.offset;
  if (out.op == Operator::pmatch || out.op == Operator::regex || out.op == Operator::bcontains ||
      out.op == Operator::bstarts_with) {
    return ConditionProblem{offset, expression.op_word.text + " cannot compare with another field"};
  }
  auto right = sources_.resolve(*expression.right);
  if (auto problem = std::get_if<ConditionProblem>(&right)) return *problem;
  out.right = std::get<std::size_t>(right);
  if (graph_.sources()[*out.right].type.type != out.type.type) {
    return ConditionProblem{offset, shown(*expression.right) + " has another type than " +
                                        shown(expression.left) + ": they cannot be compared"};
  }
  return std::nullopt;
}

std::variant<std::vector<Word>, ConditionProblem> Compiler::words(const Expression& expression) {
  bool takes_list =
      info_of(expression.op).right == RightSide::list || expression.modifier != Modifier::none;
  if (takes_list) return lists_.expand(expression.values);
  // Falco puts the items where a list's name stands: one item makes a value.
  const Word& word = expression.values.front();
  const auto* items = word.quoted ? nullptr : lists_.find(word.text);
  if (!items) return expression.values;
  if (items->size() != 1) {
    return ConditionProblem{word.offset,
                            "\"" + word.text + "\" is a list: write " +
                                (expression.op == Operator::equal
                                     ? "in (" + word.text + ")"
                                     : expression.op_word.text + " anyof (" + word.text + ")")};
  }
  Word item = items->front();
  item.offset = word.offset;
  return std::vector<Word>{std::move(item)};
}

}  // namespace trivet::security
