// SPDX-License-Identifier: Apache-2.0
#include "cli/query_output.h"

#include <algorithm>

#include "query/row_text.h"
#include "text/escape.h"

namespace trivet {
namespace {

// Rows that wait until the widths of columns are known.
constexpr std::size_t kRowsMeasured = 1000;

Cell cell_of(const Scalar& value) {
  if (auto v = std::get_if<std::int64_t>(&value)) return *v;
  if (auto v = std::get_if<double>(&value)) return *v;
  if (auto v = std::get_if<std::string>(&value)) return *v;
  return {};
}

bool is_number(const Scalar& value) {
  return std::holds_alternative<std::int64_t>(value) || std::holds_alternative<double>(value);
}

std::string number_text(const Scalar& value) {
  std::string out;
  append_number(out, cell_of(value));
  return out;
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

class TextOutput final : public QueryOutput {
 public:
  explicit TextOutput(std::unique_ptr<RowText> text) : text_(std::move(text)) {}
  std::string begin(const std::vector<std::string>& names) override {
    std::string out;
    text_->begin(out, names);
    return out;
  }
  std::string rows(const std::vector<std::vector<Scalar>>& rows) override {
    std::string out;
    std::vector<Cell> cells;
    for (const auto& row : rows) {
      cells.clear();
      for (const auto& value : row) cells.push_back(cell_of(value));
      text_->row(out, cells);
    }
    return out;
  }
  std::string end() override { return {}; }

 private:
  const std::unique_ptr<RowText> text_;
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
      return std::make_unique<TextOutput>(json_lines());
    case QueryFormat::csv:
      return std::make_unique<TextOutput>(csv_lines());
    case QueryFormat::table:
      break;
  }
  return std::make_unique<TableOutput>();
}

}  // namespace trivet
