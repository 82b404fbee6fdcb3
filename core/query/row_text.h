// SPDX-License-Identifier: Apache-2.0
// A query's rows as text on their way to a client. Each object serves one query, on one thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "query/row_sink.h"

namespace trivet {

// Everything is appended to `out`.
class RowText {
 public:
  virtual ~RowText() = default;
  // Once, before any row.
  virtual void begin(std::string& out, const std::vector<std::string>& names) = 0;
  virtual void row(std::string& out, std::span<const Cell> cells) = 0;
  // What has been written so far is about to be sent.
  virtual void pause(std::string&) {}
  // After the last row of a query that succeeded.
  virtual void end(std::string&) {}
};

// An object for each row, one a line.
std::unique_ptr<RowText> json_lines();
// One array of such objects.
std::unique_ptr<RowText> json_array();
// A line of names, then the rows, quoted as RFC 4180 has it but with bare line feeds at the ends of
// lines; NULL is empty.
std::unique_ptr<RowText> csv_lines();

// A value as JSON; what is no number in JSON is null.
void append_json_cell(std::string& out, const Cell& cell);
// A number as SQL writes it: one of type REAL has a point or an exponent. Nothing for other values.
void append_number(std::string& out, const Cell& cell);

}  // namespace trivet
