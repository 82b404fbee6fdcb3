// SPDX-License-Identifier: Apache-2.0
#include "cli/query_output.h"

#include <algorithm>
#include <charconv>

#include "text/escape.h"

namespace trivet {
namespace {

// Rows that wait until the widths of columns are known.
constexpr std::size_t kRowsMeasured = 1000;

std::string number_text(const Scalar& value) {
  char buffer[32];
  char* end = buffer;
  if (auto v = std::get_if<std::int64_t>(&value))
    end = std::to_chars(buffer, std::end(buffer), *v).ptr;
  if (auto v = std::get_if<double>(&value)) end = std::to_chars(buffer, std::end(buffer), *v).ptr;
  return {buffer, end};
}

bool is_number(const Scalar& value) {
  return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
}

class TableOutput final : public QueryOutput {
 public:
  std::string begin(const std::vector<std::string>& names) override {
    widths_.assign(names.size(), 0);
    right_.assign(names.size(), true);
    std::vector<std::string> heading;
    for (const auto& name : names) heading.push_back(printable(name));
    measure(heading);
    waiting_.push_back(std::move(heading));
    return {};
  }

  std::string rows(const std::vector<std::vector<Scalar>>& rows) override {
    for (const auto& row : rows) {
      std::vector<std::string> cells;
      for (std::size_t i = 0; i < std::min(row.size(), widths_.size()); ++i) {
        const auto* text = std::get_if<std::string>(&row[i]);
        cells.push_back(text ? printable(*text) : is_number(row[i]) ? number_text(row[i]) : "-");
        if (text && !flushed_) right_[i] = false;
      }
      cells.resize(widths_.size());
      if (!flushed_) measure(cells);
      waiting_.push_back(std::move(cells));
    }
    return waiting_.size() > kRowsMeasured || flushed_ ? end() : std::string();
  }

  std::string end() override {
    flushed_ = true;
    std::string out;
    for (const auto& cells : waiting_) {
      for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::size_t used = display_width(cells[i]);
        const std::size_t padding = used < widths_[i] ? widths_[i] - used : 0;
        if (i != 0) out += "  ";
        if (right_[i]) out.append(padding, ' ');
        out += cells[i];
        if (!right_[i] && i + 1 < cells.size()) out.append(padding, ' ');
      }
      out += '\n';
    }
    waiting_.clear();
    return out;
  }

 private:
  void measure(const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths_[i] = std::max(widths_[i], display_width(cells[i]));
    }
  }

  std::vector<std::size_t> widths_;
  std::vector<bool> right_;  // columns of numbers
  std::vector<std::vector<std::string>> waiting_;
  bool flushed_ = false;
};

class JsonOutput final : public QueryOutput {
 public:
  std::string begin(const std::vector<std::string>& names) override {
    for (const auto& name : names) {
      std::string member;
      append_json_string(member, name);
      members_.push_back(member + ':');
    }
    return {};
  }
  std::string rows(const std::vector<std::vector<Scalar>>& rows) override {
    std::string out;
    for (const auto& row : rows) {
      out += '{';
      for (std::size_t i = 0; i < std::min(row.size(), members_.size()); ++i) {
        if (i != 0) out += ',';
        out += members_[i];
        if (auto text = std::get_if<std::string>(&row[i])) {
          append_json_string(out, *text);
        } else {
          out += is_number(row[i]) ? number_text(row[i]) : "null";
        }
      }
      out += "}\n";
    }
    return out;
  }
  std::string end() override { return {}; }

 private:
  std::vector<std::string> members_;
};

class CsvOutput final : public QueryOutput {
 public:
  std::string begin(const std::vector<std::string>& names) override {
    std::string out;
    for (const auto& name : names) append(out, name);
    return ended(out);
  }
  std::string rows(const std::vector<std::vector<Scalar>>& rows) override {
    std::string out;
    for (const auto& row : rows) {
      std::string line;
      for (const auto& cell : row) {
        const auto* text = std::get_if<std::string>(&cell);
        append(line, text ? *text : number_text(cell));
      }
      out += ended(line);
    }
    return out;
  }
  std::string end() override { return {}; }

 private:
  // Every cell with a comma behind it; the last one becomes the line's end.
  static void append(std::string& line, std::string_view cell) {
    if (cell.find_first_of(",\"\r\n") == cell.npos) {
      line += cell;
    } else {
      line += '"';
      for (char c : cell) line.append(c == '"' ? 2 : 1, c);
      line += '"';
    }
    line += ',';
  }
  static std::string ended(std::string line) {
    if (!line.empty()) line.back() = '\n';
    return line;
  }
};

}  // namespace

std::optional<QueryFormat> query_format(std::string_view name) {
  if (name == "table") return QueryFormat::table;
  if (name == "json") return QueryFormat::json;
  if (name == "csv") return QueryFormat::csv;
  return std::nullopt;
}

std::unique_ptr<QueryOutput> query_output(QueryFormat format) {
  switch (format) {
    case QueryFormat::json:
      return std::make_unique<JsonOutput>();
    case QueryFormat::csv:
      return std::make_unique<CsvOutput>();
    case QueryFormat::table:
      break;
  }
  return std::make_unique<TableOutput>();
}

}  // namespace trivet
