// SPDX-License-Identifier: Apache-2.0
#include "records/record_scan.h"

#include <algorithm>

namespace trivet {

namespace {

// Between two looks at the clock.
constexpr unsigned kRowsAtOnce = 64;

}  // namespace

RecordScan::RecordScan(std::vector<std::vector<Span>> tables, RecordFilter filter,
                       std::size_t limit, bool oldest)
    : filter_(std::move(filter)), limit_(limit), oldest_(oldest) {
  for (auto& spans : tables) {
    std::erase_if(spans, [](const Span& span) { return span.count == 0; });
    if (spans.empty()) continue;
    const auto& newest = spans.back();
    last_number_ = std::max(last_number_, newest.segment->number(newest.count - 1));
    if (!oldest_) std::ranges::reverse(spans);
    cursors_.push_back(Cursor{std::move(spans)});
  }
}

std::size_t RecordScan::place(const Cursor& cursor) const {
  return oldest_ ? cursor.row : cursor.spans[cursor.span].count - 1 - cursor.row;
}

Row RecordScan::row(const Cursor& cursor) const {
  return Row(cursor.spans[cursor.span].segment, place(cursor));
}

std::uint64_t RecordScan::number_of(const Cursor& cursor) const {
  return cursor.spans[cursor.span].segment->number(place(cursor));
}

// The table whose row is next in order of arrival; nullptr at the end.
RecordScan::Cursor* RecordScan::next() {
  Cursor* best = nullptr;
  std::uint64_t best_number = 0;
  for (auto& cursor : cursors_) {
    if (cursor.at_end()) continue;
    const auto number = number_of(cursor);
    if (best && (number < best_number) != oldest_) continue;
    best = &cursor;
    best_number = number;
  }
  return best;
}

bool RecordScan::step(const Origin& origin, Clock::time_point deadline) {
  for (;;) {
    for (unsigned i = 0; i < kRowsAtOnce; ++i) {
      Cursor* cursor = found_.size() < limit_ ? next() : nullptr;
      if (!cursor) return true;
      if (Row here = row(*cursor); filter_.passes(here, origin)) found_.push_back(std::move(here));
      if (++cursor->row < cursor->spans[cursor->span].count) continue;
      cursor->row = 0;
      cursor->spans[cursor->span++].segment.reset();
    }
    if (Clock::now() >= deadline) return false;
  }
}

std::vector<Row> RecordScan::take() {
  if (!oldest_) std::ranges::reverse(found_);
  return std::move(found_);
}

}  // namespace trivet
