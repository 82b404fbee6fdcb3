// SPDX-License-Identifier: Apache-2.0
#include "security/rules/output_template.h"

#include <algorithm>
#include <cctype>

namespace trivet::security {
namespace {

// A padded field is for people: wider than any line of theirs is a mistake.
constexpr std::size_t kMaxWidth = 1000;

Scalar scalar(const FieldValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return {};
  if (auto number = std::get_if<std::int64_t>(&value)) return *number;
  if (auto truth = std::get_if<bool>(&value)) return *truth;
  return show(value);
}

std::size_t take_width(Lexer& lexer) {
  std::size_t width = 0;
  while (std::isdigit(static_cast<unsigned char>(lexer.here()))) {
    width = std::min(kMaxWidth, width * 10 + static_cast<std::size_t>(lexer.here() - '0'));
    lexer.move_to(lexer.at() + 1);
  }
  return width;
}

// A full stop that ends the sentence is not the field's.
void give_back_full_stops(Lexer& lexer, Operand& operand) {
  auto& name = operand.name.text;
  while (operand.kind == Operand::Kind::field && !operand.argument && name.ends_with('.')) {
    name.pop_back();
    lexer.move_to(lexer.at() - 1);
  }
}

}  // namespace

std::variant<OutputTemplate, ConditionProblem> OutputTemplate::parse(std::string_view text,
                                                                     SourceResolver& sources) {
  // YAML's folded text ends with a line break.
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  OutputTemplate out;
  std::string before;
  Lexer lexer(text);
  if (lexer.here() == '*') lexer.move_to(1);
  while (!lexer.done()) {
    char c = lexer.here();
    auto start = lexer.at();
    lexer.move_to(start + 1);
    if (c != '%') {
      before += c;
      continue;
    }
    if (lexer.here() == '%') {
      before += '%';
      lexer.move_to(start + 2);
      continue;
    }
    auto width = take_width(lexer);
    if (!std::isalpha(static_cast<unsigned char>(lexer.here()))) {
      return ConditionProblem{start,
                              "a field's name must follow \"%\"; write \"%%\" for a percent sign"};
    }
    auto name_start = lexer.at();
    auto operand = parse_operand(lexer);
    if (!operand) return *lexer.problem();
    give_back_full_stops(lexer, *operand);
    if (operand->name.text == "container.info") continue;
    auto source = sources.resolve(*operand);
    if (auto problem = std::get_if<ConditionProblem>(&source)) return *problem;
    out.parts_.push_back({std::move(before),
                          std::string(text.substr(name_start, lexer.at() - name_start)),
                          std::get<std::size_t>(source), width});
    before.clear();
  }
  out.parts_.push_back({std::move(before), "", 0, 0});
  return out;
}

std::string OutputTemplate::fill(Evaluation& evaluation, Fields& fields) const {
  std::string out;
  for (const auto& part : parts_) {
    out += part.text;
    if (part.name.empty()) continue;
    const FieldValue& value = evaluation.value(part.source);
    auto shown = show(value);
    if (part.width > 0) shown.resize(part.width, ' ');
    out += shown;
    if (part.name == "evt.time") continue;  // the alert has it as a number, as Falco's JSON
    if (std::ranges::find(fields.items, part.name, &std::pair<std::string, Scalar>::first) ==
        fields.items.end()) {
      fields.items.emplace_back(part.name, scalar(value));
    }
  }
  return out;
}

std::vector<std::string> OutputTemplate::fields() const {
  std::vector<std::string> names;
  for (const auto& part : parts_) {
    if (!part.name.empty()) names.push_back(part.name);
  }
  return names;
}

}  // namespace trivet::security
