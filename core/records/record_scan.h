// SPDX-License-Identifier: Apache-2.0
// A walk over the rows that tables held at one moment, from the newest or from the oldest on, a
// little at a time. Holds the segments meanwhile. One thread at a time.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "records/record_filter.h"

namespace trivet {

class RecordScan {
 public:
  using Clock = std::chrono::steady_clock;
  // Some segment's first rows.
  struct Span {
    std::shared_ptr<const Segment> segment;
    std::size_t count;
  };

  // `tables` has each table's spans, oldest first. Looks for at most `limit` rows.
  RecordScan(std::vector<std::vector<Span>> tables, RecordFilter filter, std::size_t limit,
             bool oldest);

  // Goes on until the end or the deadline; true at the end.
  bool step(const Origin& origin, Clock::time_point deadline);
  // What was found, oldest first. Only once step() has said that this is the end.
  std::vector<Row> take();
  // The newest of all rows looked at, and to be looked at.
  std::uint64_t last_number() const { return last_number_; }

 private:
  // Where the walk is in one table.
  struct Cursor {
    std::vector<Span> spans;
    std::size_t span = 0, row = 0;  // in the direction of the walk

    bool at_end() const { return span == spans.size(); }
  };
  std::size_t place(const Cursor& cursor) const;
  Row row(const Cursor& cursor) const;
  std::uint64_t number_of(const Cursor& cursor) const;
  Cursor* next();

  const RecordFilter filter_;
  const std::size_t limit_;
  const bool oldest_;
  std::vector<Cursor> cursors_;
  std::vector<Row> found_;
  std::uint64_t last_number_ = 0;
};

}  // namespace trivet
