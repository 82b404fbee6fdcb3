// SPDX-License-Identifier: Apache-2.0
#include "security/rules/definitions.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace trivet::security {
namespace {

constexpr std::array<std::string_view, 8> kPriorities = {
    "Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// A word as a condition can hold it. What looks like a list's name stays bare, so that it is one.
std::string as_condition_word(const std::string& word) {
  bool plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == ':';
  });
  if (plain) return word;
  if (word.size() >= 2 && word.front() == '"' && word.back() == '"') return word;
  std::string out = "\"";
  for (char c : word) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

bool takes_list(std::string_view op) {
  return op == "in" || op == "intersects" || op == "pmatch";
}

std::string exception_text(const ExceptionDefinition& exception) {
  std::string out;
  auto comparison = [&](std::size_t field, const std::vector<std::string>& words) {
    const auto& op = exception.operators[field];
    std::string text = exception.fields[field] + " " + op + " ";
    if (!takes_list(op)) return text + as_condition_word(words.empty() ? "" : words.front());
    text += "(";
    for (const auto& word : words) {
      if (&word != &words.front()) text += ", ";
      text += as_condition_word(word);
    }
    return text + ")";
  };
  for (const auto& value : exception.values) {
    std::string all;
    for (std::size_t i = 0; i < value.size(); ++i) {
      all.append(all.empty() ? "" : " and ").append(comparison(i, value[i]));
    }
    out.append(out.empty() ? "(" : " or (").append(all).append(")");
  }
  return out;
}

}  // namespace

std::string_view name_of(Priority priority) {
  return kPriorities[static_cast<std::size_t>(priority)];
}

std::optional<Priority> parse_priority(std::string_view text) {
  if (equal_ignoring_case(text, "info")) return Priority::informational;
  for (std::size_t i = 0; i < kPriorities.size(); ++i) {
    if (equal_ignoring_case(text, kPriorities[i])) return static_cast<Priority>(i);
  }
  return std::nullopt;
}

std::vector<std::string> priority_names() {
  return std::vector<std::string>(kPriorities.begin(), kPriorities.end());
}

SourceText RuleDefinition::whole_condition() const {
  std::string excluded;
  for (const auto& exception : exceptions) {
    auto text = exception_text(exception);
    if (!text.empty()) excluded.append(" and not (").append(text).append(")");
  }
  if (excluded.empty()) return condition;
  auto made = [&](std::string text) {
    auto file = std::make_shared<const TextFile>(TextFile{place.file, ""});
    return SourceText(std::move(text), std::move(file), place.line, place.column);
  };
  SourceText whole = made("(");
  whole.append(condition);
  whole.append(made(")" + excluded));
  return whole;
}

RuleDefinition* Definitions::rule(std::string_view name) {
  auto found = std::ranges::find(rules, name, &RuleDefinition::name);
  return found == rules.end() ? nullptr : &*found;
}

}  // namespace trivet::security
