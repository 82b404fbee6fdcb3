// SPDX-License-Identifier: Apache-2.0
#include "security/rules/output_template.h"

#include <algorithm>
#include <cctype>

namespace trivet::security {
namespace {

Scalar scalar(const FieldValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return {};
  if (auto number = std::get_if<std::int64_t>(&value)) return *number;
  if (auto truth = std::get_if<bool>(&value)) return *truth;
  return show(value);
}

}  // namespace

std::variant<OutputTemplate, ConditionProblem> OutputTemplate::parse(std::string_view text,
                                                                     const Resolve& resolve) {
  // YAML's folded text ends with a line break.
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  OutputTemplate out;
  std::string before;
  std::size_t at = !text.empty() && text.front() == '*' ? 1 : 0;
  while (at < text.size()) {
    if (text[at] != '%') {
      before += text[at++];
      continue;
    }
    auto start = at++;
    if (at < text.size() && text[at] == '%') {
      before += '%';
      ++at;
      continue;
    }
    auto end = at;
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) ||
                                 text[end] == '_' || text[end] == '.')) {
      ++end;
    }
    // A full stop that ends the sentence is not the field's.
    while (end > at && text[end - 1] == '.') --end;
    auto name = text.substr(at, end - at);
    if (name.empty()) {
      return ConditionProblem{start,
                              "a field's name must follow \"%\"; write \"%%\" for a percent sign"};
    }
    at = end;
    std::string_view argument;
    if (at < text.size() && text[at] == '[') {
      auto close = text.find(']', at);
      if (close == text.npos)
        return ConditionProblem{at, "this bracket is never closed: add \"]\""};
      argument = text.substr(at + 1, close - at - 1);
      at = close + 1;
    }
    auto use = resolve(name, argument, start + 1);
    if (auto problem = std::get_if<ConditionProblem>(&use)) return *problem;
    out.parts_.push_back({std::move(before), std::string(text.substr(start + 1, at - start - 1)),
                          std::get<FieldUse>(use)});
    before.clear();
  }
  out.parts_.push_back({std::move(before), "", {}});
  return out;
}

std::string OutputTemplate::fill(Evaluation& evaluation, Fields& fields) const {
  std::string out;
  for (const auto& part : parts_) {
    out += part.text;
    if (part.name.empty()) continue;
    const FieldValue& value = evaluation.value(part.use);
    out += show(value);
    if (part.name == "evt.time") continue;  // the alert has it as a number, as Falco's JSON
    if (std::ranges::find(fields.items, part.name, &std::pair<std::string, Scalar>::first) ==
        fields.items.end()) {
      fields.items.emplace_back(part.name, scalar(value));
    }
  }
  return out;
}

}  // namespace trivet::security
