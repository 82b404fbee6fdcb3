// SPDX-License-Identifier: Apache-2.0
#include "security/rules/item.h"

#include <algorithm>
#include <cctype>

#include "security/rules/source_resolver.h"

namespace trivet::security {

void Findings::fail(const Place& place, std::string message) {
  if (!full()) errors.push_back({std::move(message), 0, place});
}

void Findings::warn(const Place& place, std::string message) {
  if (warnings.size() < kMostWarnings) warnings.push_back({std::move(message), 0, place});
}

bool Item::unique_keys() const {
  std::vector<std::string_view> seen;
  for (const auto& key : node_.keys) {
    if (!key.is_scalar()) {
      findings_.fail(key.place, "a key must be a word");
      return false;
    }
    if (std::ranges::find(seen, key.text) != seen.end()) {
      findings_.fail(key.place, "the key " + key.text + " is written twice: remove one");
      return false;
    }
    seen.push_back(key.text);
  }
  return true;
}

bool Item::known_keys(const std::vector<std::string>& known) const {
  bool good = true;
  for (const auto& key : node_.keys) {
    if (std::ranges::find(known, key.text) != known.end()) continue;
    const auto near = suggestion(key.text, known);
    const auto unknown = "unknown key \"" + key.text + "\"";
    if (near.empty()) {
      findings_.warn(key.place, unknown + ": nothing reads it");
      continue;
    }
    findings_.fail(key.place, unknown + near);
    good = false;
  }
  return good;
}

std::optional<std::string> Item::scalar(std::string_view key) const {
  const YamlNode* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_scalar()) {
    fail_at(key, std::string(key) + " must be text");
    return std::nullopt;
  }
  return value->text;
}

std::optional<bool> Item::boolean(std::string_view key) const {
  const YamlNode* value = find(key);
  if (!value) return std::nullopt;
  auto truth = value->is_scalar() ? parse_boolean(value->text) : std::nullopt;
  if (!truth) fail_at(key, std::string(key) + " must be true or false");
  return truth;
}

std::optional<SourceText> Item::source(std::string_view key) const {
  auto text = scalar(key);
  if (!text) return std::nullopt;
  if (text->find_first_not_of(" \t\r\n") == text->npos) {
    fail_at(key, std::string(key) + " must not be empty");
    return std::nullopt;
  }
  const Place& at = find(key)->place;
  return SourceText(std::move(*text), file_, at.line, at.column);
}

std::optional<std::vector<std::string>> Item::texts(std::string_view key) const {
  const YamlNode* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_list()) {
    fail_at(key, std::string(key) + " must be a list: write [one, another]");
    return std::nullopt;
  }
  std::vector<std::string> out;
  for (const auto& item : value->items) {
    if (!item.is_scalar()) {
      findings_.fail(item.place, "an item of " + std::string(key) + " must be a word");
      return std::nullopt;
    }
    out.push_back(item.text);
  }
  return out;
}

void Item::fail_at(std::string_view key, std::string message) const {
  const YamlNode* value = find(key);
  findings_.fail(value ? value->place : place(), std::move(message));
}

std::optional<bool> parse_boolean(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "true" || lower == "yes" || lower == "on") return true;
  if (lower == "false" || lower == "no" || lower == "off") return false;
  return std::nullopt;
}

}  // namespace trivet::security
