// SPDX-License-Identifier: Apache-2.0
#include "security/rule_list.h"

#include <algorithm>
#include <cstdio>

#include "security/rules/source_resolver.h"
#include "security/rules/transformer.h"

namespace trivet::security {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out.append(1, '\\').append(1, c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string object(std::initializer_list<std::pair<const char*, std::string>> members) {
  std::string out = "{";
  for (const auto& [name, value] : members) {
    if (out.size() > 1) out += ",";
    out.append(quoted(name)).append(":").append(value);
  }
  return out + "}";
}

// Of values that are JSON already.
std::string array(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) out.append(out.size() > 1 ? "," : "").append(item);
  return out + "]";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

// On one line: folded text is for files.
std::string on_one_line(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool blank = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string_view type_name(FieldType type) {
  switch (type) {
    case FieldType::number:
      return "number";
    case FieldType::boolean:
      return "boolean";
    case FieldType::address:
      return "address";
    case FieldType::text:
      break;
  }
  return "text";
}

std::string usage_of(const Field& field) {
  std::string name(field.name);
  switch (field.argument) {
    case ArgumentUse::optional_index:
      return name + ", " + name + "[N]";
    case ArgumentUse::index:
      return name + "[N]";
    case ArgumentUse::name:
      return name + "[NAME]";
    case ArgumentUse::optional_name:
      return name + ", " + name + "[NAME]";
    case ArgumentUse::none:
      break;
  }
  return name;
}

}  // namespace

std::string rules_as_json(const std::vector<RuleStatus>& statuses) {
  std::vector<std::string> rows;
  for (const auto& status : statuses) {
    rows.push_back(object({{"name", quoted(status.definition.name)},
                           {"priority", quoted(name_of(status.definition.priority))},
                           {"state", quoted(name_of(status.state))},
                           {"reason", quoted(status.reason)}}));
  }
  return array(rows);
}

Result<std::string> rule_as_json(const std::vector<RuleStatus>& statuses, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& status : statuses) names.push_back(status.definition.name);
  auto found = std::ranges::find(names, name);
  if (found == names.end()) {
    auto near = suggestion(name, names);
    return Error{"there is no rule \"" + name + "\"" +
                 (near.empty() ? ": \"trivet rules ls\" lists all" : near)};
  }
  const auto& status = statuses[static_cast<std::size_t>(found - names.begin())];
  const auto& rule = status.definition;
  return object({{"name", quoted(rule.name)},
                 {"description", quoted(on_one_line(rule.description))},
                 {"priority", quoted(name_of(rule.priority))},
                 {"source", quoted(rule.source)},
                 {"tags", quoted(joined(rule.tags))},
                 {"place", quoted(rule.place.to_string())},
                 {"state", quoted(name_of(status.state))},
                 {"reason", quoted(status.reason)},
                 {"events", quoted(joined(status.event_types))},
                 {"condition", quoted(on_one_line(rule.whole_condition().text()))},
                 {"output", quoted(on_one_line(rule.output.text()))}});
}

std::string fields_as_json() {
  std::vector<std::string> fields, operators_, modifiers_, transformers_;
  for (const auto& name : field_names()) {
    const Field& field = *find_field(name);
    fields.push_back(object({{"name", quoted(usage_of(field))},
                             {"type", quoted(type_name(field.type))},
                             {"meaning", quoted(field.meaning)}}));
  }
  auto entry = [](std::string_view name, std::string_view meaning) {
    return object({{"name", quoted(name)}, {"meaning", quoted(meaning)}});
  };
  for (const auto& info : operators()) operators_.push_back(entry(info.name, info.meaning));
  for (const auto& info : modifiers()) modifiers_.push_back(entry(info.name, info.meaning));
  for (const auto& info : transformers()) transformers_.push_back(entry(info.usage, info.meaning));
  return object({{"fields", array(fields)},
                 {"operators", array(operators_)},
                 {"modifiers", array(modifiers_)},
                 {"transformers", array(transformers_)}});
}

std::string events_as_json() {
  std::vector<std::string> rows;
  for (const auto& name : event_type_names()) {
    bool seen = is_built_event_type(name);
    auto type = std::ranges::find(kEventTypes, name);
    std::vector<std::string> arguments;
    if (type != kEventTypes.end()) {
      for (auto argument : argument_names(static_cast<std::size_t>(type - kEventTypes.begin()))) {
        arguments.emplace_back(argument);
      }
    }
    rows.push_back(object({{"type", quoted(name)},
                           {"seen", seen ? "true" : "false"},
                           {"arguments", quoted(joined(arguments))}}));
  }
  return array(rows);
}

}  // namespace trivet::security
