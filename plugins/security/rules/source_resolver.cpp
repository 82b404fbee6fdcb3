// SPDX-License-Identifier: Apache-2.0
#include "security/rules/source_resolver.h"

#include <algorithm>

#include "trivet/config.h"

namespace trivet::security {
namespace {

using Resolved = std::variant<Source, ConditionProblem>;

// No event has as many arguments, no process as many ancestors.
constexpr std::int64_t kMaxIndex = 1'000'000;

bool is_event_argument(std::string_view name) {
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    auto names = argument_names(type);
    if (std::ranges::find(names, name) != names.end()) return true;
  }
  return false;
}

std::optional<ConditionProblem> wrong_argument(const Field& field, const FieldArgument& argument,
                                               std::size_t offset) {
  std::string name(field.name);
  auto problem = [&](std::string message, bool unbuilt = false) {
    return ConditionProblem{offset, std::move(message), unbuilt};
  };
  switch (field.argument) {
    case ArgumentUse::none:
      if (!argument.text.empty()) {
        return problem(name + " takes nothing in brackets: write " + name);
      }
      break;
    case ArgumentUse::optional_index:
      if (!argument.text.empty() && !argument.index) {
        return problem(name + " takes a number in brackets: write " + name + "[1]");
      }
      break;
    case ArgumentUse::index:
      if (!argument.index) {
        return problem(name + " needs a number in brackets: write " + name + "[1]");
      }
      break;
    case ArgumentUse::optional_name:
      break;
    case ArgumentUse::name:
      if (argument.text.empty()) return problem(name + " needs a name in brackets");
      if (name == "evt.arg" && !argument.index && !is_event_argument(argument.text)) {
        return problem("no event built so far has an argument \"" + argument.text + "\"", true);
      }
      break;
  }
  return std::nullopt;
}

std::string literal_name(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& text : texts) out += std::to_string(text.size()) + "\"" + text;
  return out;
}

}  // namespace

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  auto near = nearest(word, known);
  return near.empty() ? std::string() : ": did you mean \"" + near + "\"?";
}

std::variant<std::size_t, ConditionProblem> SourceResolver::resolve(const Operand& operand) {
  auto found = source(operand);
  if (auto problem = std::get_if<ConditionProblem>(&found)) return *problem;
  return graph_.source(std::get<Source>(std::move(found)));
}

Resolved SourceResolver::source(const Operand& operand) {
  if (operand.kind == Operand::Kind::field) return field(operand);
  if (operand.kind == Operand::Kind::transformer) return transformer(operand);
  Source source;
  if (operand.kind == Operand::Kind::text) {
    source.texts.push_back(operand.name.text);
    source.name = "text " + literal_name(source.texts);
  } else {
    for (const auto& item : operand.operands) source.texts.push_back(item.name.text);
    source.name = "list " + literal_name(source.texts);
    source.type.plurality = Plurality::list;
  }
  return source;
}

Resolved SourceResolver::field(const Operand& operand) {
  std::string_view name = operand.name.text;
  std::string text = operand.argument.value_or("");
  auto offset = operand.name.offset;
  // evt.arg.flags is another way to write evt.arg[flags].
  constexpr std::string_view kArgumentPrefix = "evt.arg.";
  if (name.starts_with(kArgumentPrefix) && text.empty()) {
    text = std::string(name.substr(kArgumentPrefix.size()));
    name = "evt.arg";
  }
  Source source;
  source.field = find_field(name);
  if (!source.field) {
    if (is_unbuilt_field(name) || name.starts_with("evt.rawarg.") || name.starts_with("fdlist.")) {
      return ConditionProblem{offset, "the field " + std::string(name) + " is not built yet", true};
    }
    auto near = suggestion(name, field_names());
    return ConditionProblem{offset,
                            "unknown field \"" + std::string(name) + "\"" +
                                (near.empty() ? ": `trivet rules fields` lists all" : near)};
  }
  source.argument.text = text;
  if (auto number = parse_number(text); number && *number >= 0 && *number < kMaxIndex) {
    source.argument.index = static_cast<std::uint32_t>(*number);
  }
  if (auto problem = wrong_argument(*source.field, source.argument, offset)) return *problem;
  source.name = std::string(name) + (text.empty() ? "" : "[" + text + "]");
  source.type = {source.field->type, source.field->plurality};
  if (source.argument.index && source.type.plurality == Plurality::any) {
    source.type.plurality = Plurality::one;
  }
  return source;
}

Resolved SourceResolver::transformer(const Operand& operand) {
  Source source;
  source.transformer = find_transformer(operand.name.text);
  source.argument.text = operand.argument.value_or("");
  source.name = operand.name.text + "(";
  std::vector<ValueType> types;
  for (const auto& inner : operand.operands) {
    auto index = resolve(inner);
    if (auto problem = std::get_if<ConditionProblem>(&index)) return *problem;
    source.operands.push_back(std::get<std::size_t>(index));
    types.push_back(graph_.sources()[source.operands.back()].type);
    source.name += std::to_string(source.operands.back()) + ",";
  }
  source.name += ")[" + source.argument.text + "]";
  auto takes_argument = operand.name.text == "getopt";
  if (operand.argument && (!takes_argument || operand.argument->empty())) {
    return ConditionProblem{operand.name.offset, operand.name.text + "() takes " +
                                                     (takes_argument ? "one letter" : "nothing") +
                                                     " in brackets"};
  }
  auto type = source.transformer->type(types, source.argument);
  if (auto why = std::get_if<std::string>(&type)) {
    return ConditionProblem{operand.name.offset, operand.name.text + "() " + *why};
  }
  source.type = std::get<ValueType>(type);
  return source;
}

}  // namespace trivet::security
