// SPDX-License-Identifier: Apache-2.0
#include "records/tables.h"

#include <algorithm>

namespace trivet {
namespace {

// Of a row beside its values: the shared_ptr's control block, the deque's slot, the allocator's
// share.
constexpr std::size_t kRowOverhead = 96;

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

Follower::Follower(std::vector<std::string> tables, TableLimits limits, std::function<void()> wake,
                   std::atomic<std::uint64_t>& all_dropped)
    : tables_(std::move(tables)),
      limits_(limits),
      wake_(std::move(wake)),
      all_dropped_(all_dropped) {}

bool Follower::wants(std::string_view table) const {
  return std::ranges::find(tables_, table) != tables_.end();
}

void Follower::push(const Row& row) {
  bool was_empty;
  {
    std::lock_guard lock(mutex_);
    was_empty = queue_.empty();
    queue_.push_back(row);
    bytes_ += row.bytes;
    // The newest row stays, however large it is.
    while (queue_.size() > 1 && (queue_.size() > limits_.rows || bytes_ > limits_.bytes)) {
      bytes_ -= queue_.front().bytes;
      queue_.pop_front();
      ++dropped_;
      ++all_dropped_;
    }
  }
  arrived_.notify_one();
  if (was_empty && wake_) wake_();
}

std::vector<Row> Follower::take(std::size_t limit) {
  std::lock_guard lock(mutex_);
  return take_locked(limit);
}

std::vector<Row> Follower::wait(std::chrono::milliseconds patience, std::size_t limit) {
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, patience, [&] { return !queue_.empty(); });
  return take_locked(limit);
}

std::vector<Row> Follower::take_locked(std::size_t limit) {
  auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(limit, queue_.size()));
  std::vector<Row> rows(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  for (const auto& row : rows) bytes_ -= row.bytes;
  return rows;
}

std::uint64_t Follower::take_dropped() {
  std::lock_guard lock(mutex_);
  return std::exchange(dropped_, 0);
}

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
  if (found == tables_.end()) found = tables_.emplace(schema.table, Table{&schema}).first;
  return found->second;
}

void Tables::append(const RecordSchema& schema, std::shared_ptr<const void> record) {
  std::size_t bytes = row_bytes(schema, record.get());
  std::vector<Row> expired;  // freed after the lock is
  std::lock_guard lock(mutex_);
  Table& into = table(schema);
  Row row{&schema, std::move(record), ++last_number_, bytes};

  bool ended = false;
  for (const auto& weak : followers_) {
    auto follower = weak.lock();
    ended |= !follower;
    if (follower && follower->wants(schema.table)) follower->push(row);
  }
  if (ended) {
    std::erase_if(followers_, [](const auto& follower) { return follower.expired(); });
  }

  into.rows.push_back(std::move(row));
  into.bytes += bytes;
  ++into.appended;
  while (into.rows.size() > limits_.rows || (into.bytes > limits_.bytes && into.rows.size() > 1)) {
    into.bytes -= into.rows.front().bytes;
    expired.push_back(std::move(into.rows.front()));
    into.rows.pop_front();
  }
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

std::vector<Row> Tables::newest(const std::vector<std::string>& names, std::size_t limit) const {
  std::vector<Row> rows;
  for (const auto& name : names) {
    auto found = tables_.find(name);
    if (found == tables_.end()) continue;
    const auto& all = found->second.rows;
    std::size_t count = std::min(limit, all.size());
    for (std::size_t i = all.size() - count; i < all.size(); ++i) rows.push_back(all[i]);
  }
  std::ranges::sort(rows, {}, &Row::number);
  if (rows.size() > limit) {
    rows.erase(rows.begin(), rows.end() - static_cast<std::ptrdiff_t>(limit));
  }
  return rows;
}

std::vector<Row> Tables::snapshot(const std::vector<std::string>& tables, std::size_t limit) const {
  std::lock_guard lock(mutex_);
  return newest(tables, limit);
}

std::shared_ptr<Follower> Tables::follow(std::vector<std::string> tables, TableLimits limits,
                                         std::size_t backlog, std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  auto rows = newest(tables, std::min(backlog, limits.rows));
  std::shared_ptr<Follower> follower(
      new Follower(std::move(tables), limits, std::move(wake), dropped_));
  for (const auto& row : rows) follower->bytes_ += row.bytes;
  follower->queue_.assign(std::make_move_iterator(rows.begin()),
                          std::make_move_iterator(rows.end()));
  followers_.push_back(follower);
  return follower;
}

std::vector<TableState> Tables::states() const {
  std::lock_guard lock(mutex_);
  std::vector<TableState> states;
  for (const auto& [name, table] : tables_) {
    states.push_back({table.schema, table.rows.size(), table.bytes, table.appended});
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
