// SPDX-License-Identifier: Apache-2.0
// One table as one query sees it: the parts that were there when the query first named it,
// filters that skip what cannot match, and an order by one column. Owned by the query, on its
// thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "query/sql_columns.h"
#include "query/stored_parts.h"
#include "records/segment.h"

namespace trivet {

// Copies of some columns of a segment in the order in which its rows are wanted: rows that follow
// each other lie beside each other, where the segment itself would be read all over the place.
struct SortedColumns {
  std::vector<ColumnView> views;  // by the schema's column; without codes where there is no copy
  std::vector<std::vector<std::byte>> codes;
  std::vector<std::vector<std::uint8_t>> nulls;
};

// Where a row is.
struct RowPlace {
  std::uint32_t segment;
  std::uint32_t row;
  std::uint32_t sorted_row;     // in `sorted`
  const SortedColumns* sorted;  // nullptr: none. Until the next row is asked for
  const Segment* data;          // the segment, until the next row is asked for
};

class TableRows {
 public:
  struct Part {
    TablePart place;
    std::size_t rows;  // of a segment that grows: those that were there at first
  };

  // `boot_to_real_ns` is what moments are shown with; `stopped` says that the query must end.
  TableRows(const RecordSchema& schema, std::vector<TablePart> parts, std::int64_t boot_to_real_ns,
            std::function<bool()> stopped);

  const RecordSchema& schema() const { return *schema_; }
  const std::vector<SqlColumn>& columns() const { return columns_; }
  const std::vector<Part>& parts() const { return parts_; }
  std::size_t rows() const { return rows_; }
  std::int64_t boot_to_real_ns() const { return boot_to_real_ns_; }
  bool stopped() const { return stopped_(); }

  // A part's segment, with these columns at least; in memory as long as it is held. nullptr if its
  // file cannot be read. std::bad_alloc past the budget.
  std::shared_ptr<const Segment> segment(std::size_t part, const std::vector<std::size_t>& columns);
  // As Segment's, without reading rows.
  std::optional<Segment::Range> range(std::size_t part, std::size_t source);
  std::uint64_t entries(std::size_t part, std::size_t source);

  // Whether order by this column can be had here, in memory that is worth it.
  bool can_order(const SqlColumn& column);
  // By segment and code, the place of each entry of a dictionary among all entries of the column,
  // from 1; equal entries share one. Made once.
  using Ranks = std::vector<std::vector<std::uint32_t>>;
  const Ranks& ranks(const SqlColumn& column);

 private:
  const RecordSchema* schema_;
  const std::vector<SqlColumn> columns_;
  const std::int64_t boot_to_real_ns_;
  const std::function<bool()> stopped_;
  std::vector<Part> parts_;
  std::size_t rows_ = 0;
  StoredParts stored_;
  std::map<std::size_t, std::uint64_t> all_entries_;  // of a column, in all parts
  std::map<std::size_t, Ranks> ranks_;
};

// What a row must be to be worth a look: SQLite judges again whatever passes.
struct RowFilter {
  const SqlColumn* column;
  // Numbers and moments: the numbers in between, as SQL sees them.
  std::int64_t smallest = INT64_MIN;
  std::int64_t largest = INT64_MAX;
  std::optional<std::string> entry;  // texts and addresses: the bytes of this entry
};

// The rows that pass all filters, in the order of the table or of a column.
class RowScan {
 public:
  struct Order {
    const SqlColumn* column;
    bool descending;
  };

  // `used` are the schema's columns that will be read.
  RowScan(TableRows& table, std::vector<RowFilter> filters, std::vector<std::size_t> used,
          std::optional<Order> order);
  ~RowScan();

  // The next row, or none at the end or once the query is stopped. std::bad_alloc past the budget.
  std::optional<RowPlace> next();

 private:
  class Ordered;
  // A filter in the terms of one segment.
  struct Test {
    ColumnView view;
    std::int64_t shift;  // added to the raw number
    std::int64_t smallest, largest;
    std::uint64_t code;  // of the entry, if coded
  };
  // Sets entered_ and tests_ for a segment; false if none of its rows passes.
  bool enter(std::size_t segment);
  bool out_of_range(std::size_t segment);
  bool passes(std::size_t row) const;

  TableRows& table_;
  const std::vector<RowFilter> filters_;
  std::vector<std::size_t> used_;  // those of filters and order included
  std::shared_ptr<const Segment> entered_;
  std::vector<Test> tests_;
  std::unique_ptr<Ordered> ordered_;
  std::size_t segment_ = 0, row_ = 0, rows_ = 0;  // of the scan in the table's order
};

}  // namespace trivet
