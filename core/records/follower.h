// SPDX-License-Identifier: Apache-2.0
// A bounded queue of new rows for one reader, filled by the tables. What does not fit drops the
// oldest, counted. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "records/row.h"

namespace trivet {

// How much may wait in a follower's queue.
struct FollowerLimits {
  std::size_t rows = 100000;
  std::size_t bytes = 64 << 20;
};

class Follower {
 public:
  // Up to `limit` rows, oldest first; empty if none is there.
  std::vector<Row> take(std::size_t limit);
  // Waits until a row is there or the time is over, then take()s.
  std::vector<Row> wait(std::chrono::milliseconds patience, std::size_t limit);
  // Rows dropped since the last call.
  std::uint64_t take_dropped();

 private:
  friend class Tables;
  Follower(std::vector<std::string> tables, FollowerLimits limits, std::function<void()> wake,
           std::atomic<std::uint64_t>& all_dropped);
  bool wants(std::string_view table) const;
  void push(const Row& row);
  void prepend(std::vector<Row> rows);
  std::vector<Row> take_locked(std::size_t limit);

  std::vector<std::string> tables_;  // under the lock of Tables
  const FollowerLimits limits_;
  const std::function<void()> wake_;
  std::atomic<std::uint64_t>& all_dropped_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Row> queue_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace trivet
