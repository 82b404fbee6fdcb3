// SPDX-License-Identifier: Apache-2.0
#include "records/follower.h"

#include <algorithm>

namespace trivet {

Follower::Follower(std::vector<std::string> tables, FollowerLimits limits,
                   std::function<void()> wake, std::atomic<std::uint64_t>& all_dropped)
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
    bytes_ += row.bytes();
    // The newest row stays, however large it is.
    while (queue_.size() > 1 && (queue_.size() > limits_.rows || bytes_ > limits_.bytes)) {
      bytes_ -= queue_.front().bytes();
      queue_.pop_front();
      ++dropped_;
      ++all_dropped_;
    }
  }
  arrived_.notify_one();
  if (was_empty && wake_) wake_();
}

void Follower::prepend(std::vector<Row> rows) {
  std::lock_guard lock(mutex_);
  for (const auto& row : rows) bytes_ += row.bytes();
  queue_.insert(queue_.begin(), std::make_move_iterator(rows.begin()),
                std::make_move_iterator(rows.end()));
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
  for (const auto& row : rows) bytes_ -= row.bytes();
  return rows;
}

std::uint64_t Follower::take_dropped() {
  std::lock_guard lock(mutex_);
  return std::exchange(dropped_, 0);
}

}  // namespace trivet
