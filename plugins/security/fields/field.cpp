// SPDX-License-Identifier: Apache-2.0
#include "security/fields/field.h"

#include <algorithm>
#include <unordered_map>

namespace trivet::security {
namespace {

template <class Visit>
void each_field(Visit visit) {
  for (auto table :
       {event_fields(), fd_fields(), path_fields(), process_fields(), container_fields()}) {
    for (const auto& field : table) visit(field);
  }
}

std::string show_one(std::string_view text) {
  return std::string(text);
}
std::string show_one(std::int64_t number) {
  return std::to_string(number);
}
std::string show_one(const IpAddress& address) {
  return address.to_string();
}
std::string show_one(bool truth) {
  return truth ? "true" : "false";
}
std::string show_one(std::monostate) {
  return "<NA>";
}
template <class T>
std::string show_one(const std::vector<T>& values) {
  if (values.empty()) return "<NA>";
  std::string out;
  for (const auto& value : values) out.append(out.empty() ? "" : ",").append(show_one(value));
  return out;
}

}  // namespace

const Field* find_field(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const Field*> fields;
    each_field([&](const Field& field) { fields.emplace(field.name, &field); });
    return fields;
  }();
  auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  each_field([&](const Field& field) { names.emplace_back(field.name); });
  return names;
}

std::string show(const FieldValue& value) {
  return std::visit([](const auto& v) { return show_one(v); }, value);
}

}  // namespace trivet::security
