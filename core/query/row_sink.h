// SPDX-License-Identifier: Apache-2.0
// Where the rows of a query go.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace trivet {

// What SQL makes of a value. Text lives until the call that handed it over returns.
using Cell = std::variant<std::monostate, std::int64_t, double, std::string_view>;

// Called on the query's thread. Taking names or a row may wait until the deadline, and ends the
// query by returning false.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // Before everything else.
  virtual void set_deadline(std::chrono::steady_clock::time_point) {}
  virtual bool columns(const std::vector<std::string>& names) = 0;
  virtual bool row(std::span<const Cell> cells) = 0;
};

}  // namespace trivet
