// SPDX-License-Identifier: Apache-2.0
#include "records/tables.h"

#include <time.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "text/escape.h"
#include "trivet/config.h"

namespace trivet {
namespace {

// Of a row beside its values: the shared_ptr's control block, the queue's slot, the allocator's
// share.
constexpr std::size_t kRowOverhead = 96;

// A segment holds this part of what its table may: the oldest part is what goes at once.
constexpr std::size_t kParts = 32;
constexpr std::size_t kMaxSegmentBytes = 32 << 20;

std::size_t segment_rows(const TableLimits& limits) {
  return std::clamp<std::size_t>(limits.rows / kParts, 1, Segment::kMaxRows);
}

std::size_t segment_bytes(const TableLimits& limits) {
  return std::min(limits.bytes / kParts, kMaxSegmentBytes);
}

std::uint64_t boot_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::size_t value_bytes(const Value& value) {
  // Short strings live inside the std::string; the estimate counts 32 bytes for each column anyway.
  constexpr std::size_t kInline = 32;
  if (auto text = std::get_if<std::string_view>(&value)) {
    return kInline + (text->size() > 15 ? text->size() + 1 : 0);
  }
  if (auto texts = std::get_if<std::span<const std::string>>(&value)) {
    std::size_t bytes = kInline;
    for (const auto& text : *texts) bytes += kInline + text.size();
    return bytes;
  }
  if (auto fields = std::get_if<const Fields*>(&value)) {
    std::size_t bytes = kInline;
    for (const auto& [name, scalar] : (*fields)->items) {
      bytes += sizeof(Scalar) + kInline + name.size();
      if (auto text = std::get_if<std::string>(&scalar)) bytes += text->size();
    }
    return bytes;
  }
  return 16;
}

}  // namespace

Tables::Tables(TableLimits limits, Spill* spill)
    : spill_(spill), limits_(limits), last_number_(spill ? spill->last_number() : 0) {}

void Tables::set_limits(TableLimits limits) {
  std::lock_guard lock(mutex_);
  limits_ = limits;
}

void Tables::declare(const RecordSchema& schema) {
  std::lock_guard lock(mutex_);
  table(schema);
}

Tables::Table& Tables::table(const RecordSchema& schema) {
  auto found = tables_.find(schema.table);
  if (found == tables_.end()) found = tables_.emplace(schema.table, Table{.schema = &schema}).first;
  return found->second;
}

void Tables::append(const RecordSchema& schema, std::shared_ptr<const void> record) {
  const std::uint64_t now_ns = boot_now_ns();
  std::shared_ptr<SegmentWriter> full;
  Segments evicted;  // freed after the lock is
  Table* into;
  {
    std::lock_guard lock(mutex_);
    into = &table(schema);
    ++last_number_;
    offer(schema, record);

    if (!into->writer) {
      into->writer = std::make_shared<SegmentWriter>(*into->schema, segment_rows(limits_));
      into->pieces.push_back({into->writer->segment(), now_ns, now_ns});
      into->bytes += into->writer->segment()->bytes();
    }
    Segment& segment = *into->writer->segment();
    const std::size_t before = segment.bytes();
    into->writer->append(record.get(), last_number_);
    into->pieces.back().last_ns = now_ns;
    into->bytes += segment.bytes() - before;
    ++into->rows;
    ++into->appended;
    if (into->writer->full() || segment.bytes() >= segment_bytes(limits_)) full.swap(into->writer);
    evict(*into, evicted);
  }
  if (full) seal(*into, full);
}

// Hands a new record to those who follow its table.
void Tables::offer(const RecordSchema& schema, const std::shared_ptr<const void>& record) {
  bool ended = false;
  std::optional<Row> row;
  for (const auto& weak : followers_) {
    auto follower = weak.lock();
    ended |= !follower;
    if (!follower || !follower->wants(schema.table)) continue;
    if (!row) row.emplace(schema, record, last_number_, row_bytes(schema, record.get()));
    follower->push(*row);
  }
  if (ended) {
    std::erase_if(followers_, [](const auto& follower) { return follower.expired(); });
  }
}

// Puts the complete form of a segment in the place of the one that grew. The work is done without
// the lock: readers and other writers go on meanwhile.
void Tables::seal(Table& table, const std::shared_ptr<SegmentWriter>& writer) {
  std::shared_ptr<const Segment> sealed = writer->seal();
  if (spill_) spill_->keep(sealed);
  Segments evicted;  // freed after the lock is
  std::lock_guard lock(mutex_);
  auto found = std::ranges::find(table.pieces, writer->segment(), &Piece::segment);
  table.bytes += sealed->bytes();
  table.bytes -= found->segment->bytes();
  found->segment = std::move(sealed);
  found->sealed = true;
  evict(table, evicted);
}

void Tables::evict(Table& table, Segments& evicted) const {
  while (table.pieces.size() > 1 && table.pieces.front().sealed &&
         (table.rows > limits_.rows || table.bytes > limits_.bytes)) {
    evict_oldest(table, evicted);
  }
}

void Tables::evict_oldest(Table& table, Segments& evicted) {
  auto segment = std::move(table.pieces.front().segment);
  table.pieces.pop_front();
  table.rows -= segment->rows();
  table.bytes -= segment->bytes();
  table.evicted += segment->rows();
  evicted.push_back(std::move(segment));
}

void Tables::expire(std::uint64_t now_ns) {
  std::vector<Complete> complete;
  constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max_open_ns = spill_ ? spill_->max_open_ns() : kNever;
  std::uint64_t max_age_ns = kNever;
  const auto older = [now_ns](std::uint64_t then_ns, std::uint64_t age_ns) {
    return now_ns > then_ns && now_ns - then_ns > age_ns;
  };
  {
    std::lock_guard lock(mutex_);
    if (limits_.age_ns != 0) max_age_ns = limits_.age_ns;
    // Rows that come slowly must not keep old ones alive in their segment.
    max_open_ns = std::min(max_open_ns, max_age_ns / kParts);
    for (auto& [name, table] : tables_) {
      if (table.writer && older(table.pieces.back().first_ns, max_open_ns))
        complete.emplace_back(&table, std::exchange(table.writer, nullptr));
    }
  }
  for (auto& [table, writer] : complete) seal(*table, writer);
  Segments evicted;  // freed after the lock is
  std::lock_guard lock(mutex_);
  for (auto& [name, table] : tables_) {
    while (!table.pieces.empty() && table.pieces.front().sealed &&
           older(table.pieces.front().last_ns, max_age_ns)) {
      evict_oldest(table, evicted);
    }
  }
}

void Tables::seal_all() {
  std::vector<Complete> complete;
  {
    std::lock_guard lock(mutex_);
    for (auto& [name, table] : tables_) {
      if (table.writer) complete.emplace_back(&table, std::exchange(table.writer, nullptr));
    }
  }
  for (auto& [table, writer] : complete) seal(*table, writer);
}

std::vector<std::string> Tables::resolve(std::string_view name) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  if (name == "requests") {
    for (const auto& [table, content] : tables_) {
      if (table.ends_with("_requests")) names.push_back(table);
    }
  } else if (tables_.contains(name)) {
    names.emplace_back(name);
  }
  return names;
}

Error Tables::unknown(std::string_view name) const {
  std::vector<std::string> known = {"requests"};
  for (const auto& state : states()) known.emplace_back(state.schema->table);
  std::ranges::sort(known);
  std::string list;
  for (const auto& table : known) list += (list.empty() ? "" : ", ") + table;
  const std::string meant = nearest(name, known);
  return Error{"no table is named \"" + printable(name) + "\": " +
               (meant.empty() ? "write one of " + list : "did you mean \"" + meant + "\"?")};
}

std::vector<Tables::Span> Tables::newest(const std::vector<std::string>& names,
                                         std::size_t limit) const {
  std::vector<Span> spans;
  for (const auto& name : names) {
    auto found = tables_.find(name);
    if (found == tables_.end()) continue;
    const auto& pieces = found->second.pieces;
    std::size_t wanted = limit;
    for (auto piece = pieces.rbegin(); piece != pieces.rend() && wanted != 0; ++piece) {
      const std::size_t all = piece->segment->rows(), count = std::min(wanted, all);
      spans.push_back({piece->segment, all - count, count});
      wanted -= count;
    }
  }
  return spans;
}

std::vector<std::vector<RecordScan::Span>> Tables::spans(
    const std::vector<std::string>& names) const {
  std::vector<std::vector<RecordScan::Span>> all;
  std::lock_guard lock(mutex_);
  for (const auto& name : names) {
    auto& spans = all.emplace_back();
    const auto found = tables_.find(name);
    if (found == tables_.end()) continue;
    for (const auto& piece : found->second.pieces)
      spans.push_back({piece.segment, piece.segment->rows()});
  }
  return all;
}

std::vector<Row> Tables::rows_of(const std::vector<Span>& spans, std::size_t limit) {
  std::vector<Row> rows;
  for (const auto& span : spans) {
    for (std::size_t i = 0; i < span.count; ++i) rows.emplace_back(span.segment, span.first + i);
  }
  std::ranges::sort(rows, {}, &Row::number);
  if (rows.size() > limit) {
    rows.erase(rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(limit));
  }
  return rows;
}

std::shared_ptr<Follower> Tables::follow(std::vector<std::string> tables, FollowerLimits limits,
                                         std::size_t backlog, std::function<void()> wake) {
  backlog = std::min(backlog, limits.rows);
  std::vector<Span> spans;
  std::shared_ptr<Follower> follower(
      new Follower(std::move(tables), limits, std::move(wake), dropped_));
  {
    std::lock_guard lock(mutex_);
    spans = newest(follower->tables_, backlog);
    followers_.push_back(follower);
  }
  // Rows that come from now on are behind these.
  follower->prepend(rows_of(spans, backlog));
  return follower;
}

void Tables::follow_other(Follower& follower, std::vector<std::string> tables) {
  std::lock_guard lock(mutex_);
  follower.tables_ = std::move(tables);
}

std::vector<TablePart> Tables::parts(std::string_view name) const {
  std::vector<TablePart> in_memory;
  {
    std::lock_guard lock(mutex_);
    auto found = tables_.find(name);
    if (found == tables_.end()) return {};
    for (const auto& piece : found->second.pieces) in_memory.push_back({piece.segment, nullptr});
  }
  if (!spill_) return in_memory;
  // What has left the memory is in the spill by now, and what is here is left out there.
  auto parts = spill_->parts(name, in_memory.empty() ? std::numeric_limits<std::uint64_t>::max()
                                                     : in_memory.front().segment->number(0));
  std::ranges::move(in_memory, std::back_inserter(parts));
  return parts;
}

std::vector<TableState> Tables::states() const {
  std::lock_guard lock(mutex_);
  std::vector<TableState> states;
  for (const auto& [name, table] : tables_) {
    states.push_back({table.schema, table.rows, table.bytes, table.appended, table.evicted});
  }
  return states;
}

std::uint64_t Tables::dropped() const {
  return dropped_;
}

std::size_t row_bytes(const RecordSchema& schema, const void* record) {
  std::size_t bytes = kRowOverhead;
  for (const auto& column : schema.columns) bytes += value_bytes(column.get(record));
  return bytes;
}

}  // namespace trivet
