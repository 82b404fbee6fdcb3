// SPDX-License-Identifier: Apache-2.0
// Which rows a reader wants: tests of columns, judged in a time that does not depend on what the
// reader wrote. Made by whoever asks, then only read; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "records/format.h"
#include "records/row.h"
#include "trivet/result.h"

namespace trivet {

// A column and what it may hold, any of it: a number, a duration ("20ms") or a range of them
// ("400-499", "500-", "-80"), an address or network ("10.0.0.0/8"), text (`*` and `?` stand for
// any text and any byte), true or false. Nothing between the quotes means: no value.
struct ColumnTest {
  std::string column;
  std::vector<std::string> values;
};

// Holds where all tests of one of the alternatives do; negated, where those of none do.
struct FilterClause {
  std::vector<std::vector<ColumnTest>> alternatives;
  bool negated = false;
};

// All clauses hold, and the row's time is not outside of these, in nanoseconds since 1970.
struct RecordWish {
  std::vector<FilterClause> clauses;
  std::optional<std::int64_t> since_ns, until_ns;

  bool empty() const { return clauses.empty() && !since_ns && !until_ns; }
};

class RecordFilter {
 public:
  // Everything passes.
  RecordFilter() = default;
  // For rows of these tables. A table without one of the columns has no row for which the test
  // holds; that none of them has it is an error.
  static Result<RecordFilter> create(const RecordWish& wish,
                                     std::span<const RecordSchema* const> schemas);

  bool passes(const Row& row, const Origin& origin) const;
  bool empty() const { return tables_.empty(); }

 private:
  struct Range {
    long double low, high;  // holds every integer of 64 bits
  };
  struct Network {
    IpAddress address;
    unsigned bits;
  };
  struct Pattern {
    std::string text;
  };
  struct Nothing {};
  using Matcher = std::variant<Nothing, Range, Network, Pattern, bool>;
  struct Test {
    std::size_t column;
    std::vector<Matcher> any;
  };
  struct Clause {
    std::vector<std::vector<Test>> alternatives;
    bool negated;
  };
  struct Table {
    std::size_t time;  // column
    std::vector<Clause> clauses;
  };

  static Result<Matcher> matcher(const Column& column, const std::string& value);
  static bool matches(const Matcher& matcher, const Value& value);
  static bool holds(const Clause& clause, const Row& row);

  std::map<std::string, Table, std::less<>> tables_;
  std::optional<std::int64_t> since_ns_, until_ns_;
};

// Whether `text` is of that form: `*` stands for any text, `?` for any byte. Takes at most the
// product of both lengths.
bool matches_pattern(std::string_view pattern, std::string_view text);

}  // namespace trivet
