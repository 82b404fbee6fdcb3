// SPDX-License-Identifier: Apache-2.0
#include "query/table_rows.h"

#include <algorithm>
#include <compare>
#include <cstring>
#include <deque>
#include <limits>
#include <new>
#include <unordered_map>

#include "query/budget.h"

namespace trivet {
namespace {

// Distinct texts that are put in order here; beyond, SQLite sorts the rows.
constexpr std::uint64_t kMaxRankedEntries = 500'000;
constexpr std::size_t kRankBytes = 64;  // of memory that one of them takes meanwhile
// Numbers this close to each other are sorted by counting.
constexpr std::uint64_t kMaxCounted = 64 << 10;
constexpr std::size_t kRowsBetweenLooks = 64 << 10;  // at whether the query must stop

std::int64_t shift_of(const SqlColumn& column, const TableRows& table) {
  bool moment = column.form == SqlForm::moment || column.form == SqlForm::moment_ns;
  return moment ? table.boot_to_real_ns() : 0;
}

// Wraps, as the text of a moment does.
std::int64_t shifted(std::uint64_t raw, std::int64_t shift) {
  return static_cast<std::int64_t>(raw + static_cast<std::uint64_t>(shift));
}

// A segment's range as SQL sees it; none if unknown, or if it wraps.
std::optional<Segment::Range> range_of(TableRows& table, std::size_t part, std::size_t source,
                                       std::int64_t shift) {
  auto range = table.range(part, source);
  if (!range || __builtin_add_overflow(range->smallest, shift, &range->smallest) ||
      __builtin_add_overflow(range->largest, shift, &range->largest)) {
    return std::nullopt;
  }
  return range;
}

bool is_number(SqlForm form) {
  return form == SqlForm::integer || form == SqlForm::moment || form == SqlForm::moment_ns;
}

std::string shown_address(std::string_view entry) {
  return (entry.size() == 4 ? IpAddress::v4(entry.data()) : IpAddress::v6(entry.data()))
      .to_string();
}

}  // namespace

TableRows::TableRows(const RecordSchema& schema, std::vector<TablePart> parts,
                     std::int64_t boot_to_real_ns, std::function<bool()> stopped)
    : schema_(&schema),
      columns_(sql_columns(schema)),
      boot_to_real_ns_(boot_to_real_ns),
      stopped_(std::move(stopped)),
      stored_(schema, {boot_id(), boot_to_real_ns}) {
  for (auto& part : parts) {
    const std::size_t rows = part.segment ? part.segment->rows() : part.stored->name().rows;
    parts_.push_back({std::move(part), rows});
    rows_ += rows;
  }
}

std::shared_ptr<const Segment> TableRows::segment(std::size_t part,
                                                  const std::vector<std::size_t>& columns) {
  const TablePart& place = parts_[part].place;
  return place.segment ? place.segment : stored_.load(*place.stored, columns);
}

std::optional<Segment::Range> TableRows::range(std::size_t part, std::size_t source) {
  const TablePart& place = parts_[part].place;
  if (place.segment) return place.segment->range(source);
  const auto description = stopped() ? nullptr : stored_.describe(*place.stored);
  return description ? description->columns[source].range : std::nullopt;
}

std::uint64_t TableRows::entries(std::size_t part, std::size_t source) {
  const TablePart& place = parts_[part].place;
  if (place.segment) return place.segment->entries(source);
  const auto description = stopped() ? nullptr : stored_.describe(*place.stored);
  return description ? description->columns[source].entries : 0;
}

bool TableRows::can_order(const SqlColumn& column) {
  if (is_number(column.form)) return true;
  if (column.form != SqlForm::text && column.form != SqlForm::address) return false;
  const auto [all, is_new] = all_entries_.try_emplace(column.source);
  for (std::size_t i = 0; is_new && i < parts_.size(); ++i)
    all->second += entries(i, column.source);
  return all->second <= kMaxRankedEntries;
}

const TableRows::Ranks& TableRows::ranks(const SqlColumn& column) {
  auto [made, is_new] = ranks_.try_emplace(column.source);
  if (!is_new) return made->second;
  const bool address = column.form == SqlForm::address;
  std::uint64_t entries = 0;
  std::vector<std::shared_ptr<const Segment>> segments;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    segments.push_back(stopped() ? nullptr : segment(i, {column.source}));
    if (segments.back()) entries += segments.back()->entries(column.source);
  }
  Budget* const budget = Budget::current();
  if (budget && !budget->charge(entries * kRankBytes)) throw std::bad_alloc();

  // Distinct entries get ids as they come, then each id its place in the order.
  std::unordered_map<std::string_view, std::uint32_t> ids;
  std::vector<std::string_view> texts;
  std::deque<std::string> addresses;  // the texts of addresses, kept in place
  for (const auto& segment : segments) {
    auto& by_code = made->second.emplace_back(segment ? segment->entries(column.source) : 0);
    if (!segment) continue;
    const ColumnView& view = segment->column(column.source);
    for (std::size_t code = 1; code < by_code.size(); ++code) {
      const std::string_view entry = view.entry(code);
      auto [id, added] = ids.try_emplace(entry, static_cast<std::uint32_t>(texts.size()));
      if (added) texts.push_back(address ? addresses.emplace_back(shown_address(entry)) : entry);
      by_code[code] = id->second;
    }
  }
  std::vector<std::uint32_t> order(texts.size()), rank(texts.size());
  for (std::uint32_t id = 0; id < order.size(); ++id) order[id] = id;
  std::ranges::sort(order, {}, [&](std::uint32_t id) { return texts[id]; });
  for (std::uint32_t place = 0; place < order.size(); ++place) rank[order[place]] = place + 1;
  for (auto& by_code : made->second) {
    for (std::size_t code = 1; code < by_code.size(); ++code) by_code[code] = rank[by_code[code]];
  }
  // What stays, the places by code, is charged as long as the query lasts.
  if (budget) budget->release(entries * (kRankBytes - sizeof(std::uint32_t)));
  return made->second;
}

// Rows by a column: each segment is sorted by itself once its first value may be due, and the
// segments are merged. So the newest ten rows cost one segment, not the table.
class RowScan::Ordered {
 public:
  Ordered(RowScan& scan, Order order)
      : scan_(scan),
        table_(scan.table_),
        column_(*order.column),
        descending_(order.descending),
        shift_(shift_of(column_, table_)),
        ranks_(is_number(column_.form) ? nullptr : &table_.ranks(column_)) {
    for (std::uint32_t i = 0; i < table_.parts().size(); ++i) {
      const auto range =
          is_number(column_.form) ? range_of(table_, i, column_.source, shift_) : std::nullopt;
      // Nothing comes before this, so what is not known is looked at first.
      Source source{i, Key{false, 0}, false, nullptr, {}, 0, {}, 0, 0, nullptr};
      if (range) source.first = key_of_number(descending_ ? range->largest : range->smallest);
      waiting_.push_back(std::move(source));
    }
    std::ranges::make_heap(waiting_, later);
  }

  ~Ordered() {
    if (Budget* budget = Budget::current()) budget->release(charged_);
  }

  std::optional<RowPlace> next() {
    for (;;) {
      if (current_) {
        if (current_->at < run_end_) {
          const auto at = static_cast<std::uint32_t>(current_->at++);
          return RowPlace{current_->segment, current_->rows[at], at, current_->sorted.get(),
                          current_->data.get()};
        }
        if (current_->at < current_->rows.size()) {
          begin_run(*current_);
          if (waiting_.empty() || !(waiting_.front().first < current_->first)) continue;
          waiting_.push_back(std::move(*current_));
          std::ranges::push_heap(waiting_, later);
        } else {
          release(*current_);
        }
        current_.reset();
      }
      if (waiting_.empty() || table_.stopped()) return std::nullopt;
      std::ranges::pop_heap(waiting_, later);
      current_ = std::move(waiting_.back());
      waiting_.pop_back();
      run_end_ = current_->at;
      if (!current_->is_sorted) sort(*current_);
    }
  }

 private:
  // NULL comes before all values; for descending order all of it is turned around.
  struct Key {
    bool present;
    std::uint64_t value;
    auto operator<=>(const Key&) const = default;
  };
  struct Source {
    std::uint32_t segment;
    Key first;  // no row that is left comes before this
    bool is_sorted;
    std::shared_ptr<const Segment> data;
    std::vector<std::uint32_t> rows;
    std::size_t at;
    std::vector<std::uint32_t>
        run_ends;  // in `rows`, where the next value begins; empty: not known
    std::size_t run;
    std::size_t charged;
    std::unique_ptr<SortedColumns> sorted;
  };
  static bool later(const Source& left, const Source& right) { return right.first < left.first; }

  Key turned(Key key) const { return descending_ ? Key{!key.present, ~key.value} : key; }
  Key key_of_number(std::int64_t number) const {
    return turned({true, static_cast<std::uint64_t>(number) ^ (std::uint64_t{1} << 63)});
  }
  Key key(const Source& source, std::uint32_t row) const {
    return key(source, source.data->column(column_.source), row);
  }
  Key key(const Source& source, const ColumnView& view, std::size_t row) const {
    if (ranks_) {
      const std::uint64_t code = view.raw(row);
      return turned({code != 0, code == 0 ? 0 : (*ranks_)[source.segment][code]});
    }
    return view.null(row) ? turned({false, 0}) : key_of_number(shifted(view.raw(row), shift_));
  }

  // The rows from here on that have the same value, as far as that is known without a look at each.
  void begin_run(Source& source) {
    const ColumnView* copy = source.sorted ? &source.sorted->views[column_.source] : nullptr;
    source.first =
        copy && copy->codes ? key(source, *copy, source.at) : key(source, source.rows[source.at]);
    while (source.run < source.run_ends.size() && source.run_ends[source.run] <= source.at)
      ++source.run;
    run_end_ = source.run < source.run_ends.size() ? source.run_ends[source.run] : source.at + 1;
  }

  void release(Source& source) {
    if (Budget* budget = Budget::current()) budget->release(source.charged);
    charged_ -= source.charged;
  }

  void sort(Source& source) {
    source.is_sorted = true;
    const auto& part = table_.parts()[source.segment];
    if (!scan_.enter(source.segment)) return;
    // Its file could not be read when the entries were put in order.
    if (ranks_ && (*ranks_)[source.segment].empty()) return;
    source.data = std::move(scan_.entered_);
    source.charged = part.rows * (sizeof(source.rows[0]) + sizeof(source.run_ends[0]));
    if (Budget* budget = Budget::current(); budget && !budget->charge(source.charged)) {
      source.charged = 0;
      throw std::bad_alloc();
    }
    charged_ += source.charged;
    source.rows.reserve(part.rows);

    bool in_order = true;
    Key smallest{true, std::numeric_limits<std::uint64_t>::max()}, largest{false, 0},
        last{false, 0};
    for (std::uint32_t row = 0; row < part.rows; ++row) {
      if (!scan_.passes(row)) continue;
      const Key here = key(source, row);
      in_order &= source.rows.empty() || last <= here;
      smallest = std::min(smallest, here);
      largest = std::max(largest, here);
      last = here;
      source.rows.push_back(row);
    }
    if (in_order) return;  // and read in order
    put_in_order(source, smallest, largest);
    copy_columns(source);
  }

  void put_in_order(Source& source, const Key& smallest, const Key& largest) const {
    if (smallest.present == largest.present && largest.value - smallest.value < kMaxCounted) {
      sort_by_counting(source, smallest.value, largest.value - smallest.value + 1);
      return;
    }
    std::vector<std::pair<Key, std::uint32_t>> keyed;
    keyed.reserve(source.rows.size());
    for (const auto row : source.rows) keyed.emplace_back(key(source, row), row);
    std::ranges::sort(keyed);
    for (std::size_t i = 0; i < keyed.size(); ++i) source.rows[i] = keyed[i].second;
  }

  void sort_by_counting(Source& source, std::uint64_t smallest, std::uint64_t count) const {
    std::vector<std::uint32_t> start(count + 1), sorted(source.rows.size());
    for (const auto row : source.rows) ++start[key(source, row).value - smallest + 1];
    for (std::uint64_t i = 1; i <= count; ++i) start[i] += start[i - 1];
    for (const auto row : source.rows) sorted[start[key(source, row).value - smallest]++] = row;
    std::ranges::copy(sorted, source.rows.begin());
    // Each value's start has moved to its end.
    start.pop_back();
    source.run_ends = std::move(start);
  }

  // As far as there is memory for it: it saves time only.
  void copy_columns(Source& source) {
    const Segment& segment = *source.data;
    const std::size_t rows = source.rows.size();
    auto sorted = std::make_unique<SortedColumns>();
    sorted->views.resize(table_.schema().columns.size());
    for (const std::size_t number : scan_.used_) {
      const ColumnView& from = segment.column(number);
      const std::size_t bytes = rows * (from.width + (from.nulls ? 1 : 0));
      if (from.width == 0) continue;
      if (Budget* budget = Budget::current()) {
        // The second half of the memory is for what SQLite makes of the rows.
        if (budget->left() < budget->bytes() / 2 + bytes || !budget->charge(bytes)) break;
      }
      source.charged += bytes;
      charged_ += bytes;
      auto& codes = sorted->codes.emplace_back(rows * from.width);
      for (std::size_t i = 0; i < rows; ++i) {
        std::memcpy(codes.data() + i * from.width, from.codes + source.rows[i] * from.width,
                    from.width);
      }
      ColumnView& to = sorted->views[number];
      to = from;
      to.codes = codes.data();
      if (from.nulls) {
        auto& nulls = sorted->nulls.emplace_back(rows);
        for (std::size_t i = 0; i < rows; ++i) nulls[i] = from.nulls[source.rows[i]];
        to.nulls = nulls.data();
      }
    }
    source.sorted = std::move(sorted);
  }

  RowScan& scan_;
  TableRows& table_;
  const SqlColumn& column_;
  const bool descending_;
  const std::int64_t shift_;
  const TableRows::Ranks* const ranks_;
  std::vector<Source> waiting_;  // a heap: the one with the smallest first key in front
  std::optional<Source> current_;
  std::size_t run_end_ = 0;  // in current_: the rows before are due
  std::size_t charged_ = 0;
};

RowScan::RowScan(TableRows& table, std::vector<RowFilter> filters, std::vector<std::size_t> used,
                 std::optional<Order> order)
    : table_(table), filters_(std::move(filters)), used_(std::move(used)) {
  for (const auto& filter : filters_) used_.push_back(filter.column->source);
  if (order) used_.push_back(order->column->source);
  std::ranges::sort(used_);
  used_.erase(std::unique(used_.begin(), used_.end()), used_.end());
  if (order) ordered_ = std::make_unique<Ordered>(*this, std::move(*order));
}

RowScan::~RowScan() = default;

// Whether a filter's numbers are none of the segment's: then its rows need not be read.
bool RowScan::out_of_range(std::size_t segment) {
  return std::ranges::any_of(filters_, [&](const RowFilter& filter) {
    if (filter.entry) return false;
    const auto range =
        range_of(table_, segment, filter.column->source, shift_of(*filter.column, table_));
    return range && (range->largest < filter.smallest || range->smallest > filter.largest);
  });
}

bool RowScan::enter(std::size_t segment) {
  tests_.clear();
  entered_ = out_of_range(segment) ? nullptr : table_.segment(segment, used_);
  if (!entered_) return false;
  for (const auto& filter : filters_) {
    const std::size_t source = filter.column->source;
    Test test{entered_->column(source), shift_of(*filter.column, table_), filter.smallest,
              filter.largest, 0};
    if (filter.entry && filter.entry->size() > Segment::kMaxSharedBytes) {
      continue;  // any number of codes may stand for it
    } else if (filter.entry) {
      const std::uint64_t count = entered_->entries(source);
      for (std::uint64_t code = 1; code < count && test.code == 0; ++code) {
        if (test.view.entry(code) == *filter.entry) test.code = code;
      }
      if (test.code == 0) return false;
    } else if (auto range = range_of(table_, segment, source, test.shift)) {
      if (range->smallest >= test.smallest && range->largest <= test.largest) continue;  // all pass
    }
    tests_.push_back(test);
  }
  return true;
}

bool RowScan::passes(std::size_t row) const {
  for (const auto& test : tests_) {
    const std::uint64_t raw = test.view.raw(row);
    if (test.view.coded) {
      if (raw != test.code) return false;
      continue;
    }
    const std::int64_t number = shifted(raw, test.shift);
    if (number < test.smallest || number > test.largest || test.view.null(row)) return false;
  }
  return true;
}

std::optional<RowPlace> RowScan::next() {
  if (ordered_) return ordered_->next();
  for (;;) {
    for (; row_ < rows_; ++row_) {
      if (row_ % kRowsBetweenLooks == kRowsBetweenLooks - 1 && table_.stopped())
        return std::nullopt;
      if (passes(row_)) {
        return RowPlace{static_cast<std::uint32_t>(segment_ - 1),
                        static_cast<std::uint32_t>(row_++), 0, nullptr, entered_.get()};
      }
    }
    if (segment_ >= table_.parts().size() || table_.stopped()) return std::nullopt;
    row_ = 0;
    rows_ = enter(segment_) ? table_.parts()[segment_].rows : 0;
    ++segment_;
  }
}

}  // namespace trivet
