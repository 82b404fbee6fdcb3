// SPDX-License-Identifier: Apache-2.0
#include "security/rule_list.h"

#include <cstdio>

#include "security/fields/field.h"

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

std::string object(std::initializer_list<std::pair<const char*, std::string_view>> members) {
  std::string out = "{";
  for (const auto& [name, value] : members) {
    if (out.size() > 1) out += ",";
    out.append(quoted(name)).append(":").append(quoted(value));
  }
  return out + "}";
}

std::string array(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const auto& item : items) out.append(out.size() > 1 ? "," : "").append(item);
  return out + "]";
}

}  // namespace

std::string rules_as_json(const std::vector<RuleStatus>& statuses) {
  std::vector<std::string> rows;
  for (const auto& status : statuses) {
    rows.push_back(object({{"name", status.name},
                           {"priority", name_of(status.priority)},
                           {"state", name_of(status.state)},
                           {"reason", status.reason}}));
  }
  return array(rows);
}

std::string fields_as_json() {
  std::vector<std::string> rows;
  for (const auto& name : field_names()) {
    const Field& field = *find_field(name);
    rows.push_back(object({{"name", field.name}, {"meaning", field.meaning}}));
  }
  return array(rows);
}

}  // namespace trivet::security
