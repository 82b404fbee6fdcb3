// SPDX-License-Identifier: Apache-2.0
#include "control/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "text/escape.h"

namespace trivet {
namespace {

using Json = nlohmann::ordered_json;

// Deeper values are shown as JSON; no verb nests that far.
constexpr int kMaxDepth = 8;

std::string cell(const Json& value) {
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_array()) {
    std::string text;
    for (const auto& element : value) text += (text.empty() ? "" : ", ") + cell(element);
    return text.empty() ? "-" : text;
  }
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

bool is_scalar_list(const Json& value) {
  return value.is_array() && std::ranges::none_of(value, [](const Json& element) {
           return element.is_object() || element.is_array();
         });
}

bool is_table(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::ranges::all_of(value, [](const Json& element) { return element.is_object(); });
}

std::vector<std::string> column_names(const Json& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) {
    for (const auto& [name, value] : row.items()) {
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

void append_table(std::string& out, const Json& rows, std::size_t indent) {
  auto names = column_names(rows);
  std::vector<std::vector<std::string>> lines(1);
  for (const auto& name : names) lines[0].push_back(printable(name));
  for (const auto& row : rows) {
    auto& line = lines.emplace_back();
    for (const auto& name : names) {
      auto found = row.find(name);
      line.push_back(found == row.end() ? "-" : cell(*found));
    }
  }
  std::vector<std::size_t> widths(names.size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      widths[i] = std::max(widths[i], display_width(line[i]));
    }
  }
  for (const auto& line : lines) {
    out.append(indent, ' ');
    for (std::size_t i = 0; i < line.size(); ++i) {
      out += line[i];
      if (i + 1 < line.size()) out.append(widths[i] - display_width(line[i]) + 2, ' ');
    }
    out += '\n';
  }
}

void append_text(std::string& out, const Json& value, std::size_t indent, int depth) {
  if (is_table(value)) {
    append_table(out, value, indent);
    return;
  }
  if (!value.is_object()) {
    out.append(indent, ' ');
    out += cell(value) + '\n';
    return;
  }
  for (const auto& [name, member] : value.items()) {
    out.append(indent, ' ');
    out += printable(name) + ':';
    bool nested = (member.is_object() && !member.empty()) || is_table(member);
    if (nested && depth < kMaxDepth) {
      out += '\n';
      append_text(out, member, indent + 2, depth + 1);
    } else if (is_scalar_list(member) || !member.is_array()) {
      out += ' ' + cell(member) + '\n';
    } else {
      out += ' ' + printable(member.dump(-1, ' ', false, Json::error_handler_t::replace)) + '\n';
    }
  }
}

// A string answer is a text of several lines that a verb laid out itself.
std::string escaped_lines(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    append_printable(out, text.substr(0, end));
    out += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

}  // namespace

std::string json_to_text(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return escaped_lines(text);
  if (json.is_string()) return escaped_lines(json.get_ref<const std::string&>());
  std::string out;
  append_text(out, json, 0, 0);
  return out;
}

std::string json_indented(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::string(text);
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace trivet
