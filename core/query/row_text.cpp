// SPDX-License-Identifier: Apache-2.0
#include "query/row_text.h"

#include <charconv>
#include <cmath>

#include "text/escape.h"

namespace trivet {
namespace {

class JsonLines final : public RowText {
 public:
  void begin(std::string&, const std::vector<std::string>& names) override {
    for (const auto& name : names) {
      std::string& member = members_.emplace_back(members_.empty() ? "{" : ",");
      append_json_string(member, name);
      member += ':';
    }
  }
  void row(std::string& out, std::span<const Cell> cells) override {
    object(out, cells);
    out += '\n';
  }
  void object(std::string& out, std::span<const Cell> cells) const {
    for (std::size_t i = 0; i < std::min(cells.size(), members_.size()); ++i) {
      out += members_[i];
      append_json_cell(out, cells[i]);
    }
    out += '}';
  }

 private:
  std::vector<std::string> members_;  // what stands before each value
};

class JsonArray final : public RowText {
 public:
  void begin(std::string& out, const std::vector<std::string>& names) override {
    objects_.begin(out, names);
    out += '[';
  }
  void row(std::string& out, std::span<const Cell> cells) override {
    out += first_ ? "\n" : ",\n";
    first_ = false;
    objects_.object(out, cells);
  }
  void end(std::string& out) override { out += "\n]\n"; }

 private:
  JsonLines objects_;
  bool first_ = true;
};

class CsvLines final : public RowText {
 public:
  void begin(std::string& out, const std::vector<std::string>& names) override {
    char separator = 0;
    for (const auto& name : names) append(out, name, separator);
    out += '\n';
  }
  void row(std::string& out, std::span<const Cell> cells) override {
    char separator = 0;
    for (const auto& cell : cells) {
      if (auto text = std::get_if<std::string_view>(&cell)) {
        append(out, *text, separator);
      } else {
        append(out, {}, separator);
        append_number(out, cell);
      }
    }
    out += '\n';
  }

 private:
  static void append(std::string& out, std::string_view cell, char& separator) {
    if (separator != 0) out += separator;
    separator = ',';
    if (cell.find_first_of(",\"\r\n") == cell.npos) {
      out += cell;
      return;
    }
    out += '"';
    for (char c : cell) out.append(c == '"' ? 2 : 1, c);
    out += '"';
  }
};

}  // namespace

void append_number(std::string& out, const Cell& cell) {
  char buffer[32];
  if (auto number = std::get_if<std::int64_t>(&cell)) {
    out.append(buffer, std::to_chars(buffer, std::end(buffer), *number).ptr);
  } else if (auto real = std::get_if<double>(&cell)) {
    const std::string_view digits(buffer, std::to_chars(buffer, std::end(buffer), *real).ptr);
    out += digits;
    // A number without any of these would be read as an integer; infinity has letters.
    if (digits.find_first_of(".en") == digits.npos) out += ".0";
  }
}

void append_json_cell(std::string& out, const Cell& cell) {
  if (auto text = std::get_if<std::string_view>(&cell)) {
    append_json_string(out, *text);
  } else if (auto real = std::get_if<double>(&cell); real && !std::isfinite(*real)) {
    out += "null";
  } else if (std::holds_alternative<std::monostate>(cell)) {
    out += "null";
  } else {
    append_number(out, cell);
  }
}

std::unique_ptr<RowText> json_lines() {
  return std::make_unique<JsonLines>();
}

std::unique_ptr<RowText> json_array() {
  return std::make_unique<JsonArray>();
}

std::unique_ptr<RowText> csv_lines() {
  return std::make_unique<CsvLines>();
}

}  // namespace trivet
