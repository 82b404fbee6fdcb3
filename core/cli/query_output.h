// SPDX-License-Identifier: Apache-2.0
// The rows of a query as text on standard output. Single thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trivet/value.h"

namespace trivet {

enum class QueryFormat { table, json, csv };
std::optional<QueryFormat> query_format(std::string_view name);

class QueryOutput {
 public:
  virtual ~QueryOutput() = default;
  // Text to print, empty if there is nothing yet.
  virtual std::string begin(const std::vector<std::string>& names) = 0;
  virtual std::string rows(const std::vector<std::vector<Scalar>>& rows) = 0;
  virtual std::string end() = 0;
};

// table: aligned by the first thousand rows, hostile characters escaped, - for NULL. json: an
// object for each row, one a line. csv: a line of names, then the rows, quoted as RFC 4180 has it;
// NULL is empty.
std::unique_ptr<QueryOutput> query_output(QueryFormat format);

}  // namespace trivet
