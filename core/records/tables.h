// SPDX-License-Identifier: Apache-2.0
// The records kept in memory: for each record type the newest ones, within limits, and followers
// that get each new one. Written by the plugins' workers, read by control and outputs. All
// thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "trivet/record.h"

namespace trivet {

// How much a table keeps, or a follower lets wait. Bytes are an estimate: row_bytes().
struct TableLimits {
  std::size_t rows = 100000;
  std::size_t bytes = 64 << 20;
};

// A record in a table. The schema is static data of the library that made the record.
struct Row {
  const RecordSchema* schema = nullptr;
  std::shared_ptr<const void> record;
  std::uint64_t number = 0;  // over all tables, from 1, in order of arrival
  std::size_t bytes = 0;     // row_bytes()
};

// A bounded queue of new rows for one reader. What does not fit drops the oldest, counted.
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
  Follower(std::vector<std::string> tables, TableLimits limits, std::function<void()> wake,
           std::atomic<std::uint64_t>& all_dropped);
  bool wants(std::string_view table) const;
  void push(const Row& row);
  std::vector<Row> take_locked(std::size_t limit);

  const std::vector<std::string> tables_;
  const TableLimits limits_;
  const std::function<void()> wake_;
  std::atomic<std::uint64_t>& all_dropped_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Row> queue_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

// What is known of one table.
struct TableState {
  const RecordSchema* schema;
  std::size_t rows;
  std::size_t bytes;
  std::uint64_t appended;  // ever
};

class Tables {
 public:
  explicit Tables(TableLimits limits) : limits_(limits) {}

  // Applies to what follows.
  void set_limits(TableLimits limits);
  // Makes a table known before its first record.
  void declare(const RecordSchema& schema);
  void append(const RecordSchema& schema, std::shared_ptr<const void> record);

  // The tables that `name` stands for: one by its name, or "requests" for all that end in
  // _requests. Empty if there is none.
  std::vector<std::string> resolve(std::string_view name) const;
  // The newest `limit` rows of these tables, oldest first.
  std::vector<Row> snapshot(const std::vector<std::string>& tables, std::size_t limit) const;
  // Gets the newest `backlog` rows of these tables and all that follow, with no gap between.
  // `wake`, if given, is called when the queue stops being empty: on the appending thread, so it
  // must be quick and must not call back. The follower ends with the last reference to it, which
  // must go before the Tables do.
  std::shared_ptr<Follower> follow(std::vector<std::string> tables, TableLimits limits,
                                   std::size_t backlog, std::function<void()> wake = {});
  std::vector<TableState> states() const;
  // Rows that followers dropped, all of them together, ever.
  std::uint64_t dropped() const;

 private:
  struct Table {
    const RecordSchema* schema = nullptr;
    std::deque<Row> rows;
    std::size_t bytes = 0;
    std::uint64_t appended = 0;
  };
  std::vector<Row> newest(const std::vector<std::string>& tables, std::size_t limit) const;
  Table& table(const RecordSchema& schema);

  mutable std::mutex mutex_;
  TableLimits limits_;
  std::map<std::string, Table, std::less<>> tables_;
  std::vector<std::weak_ptr<Follower>> followers_;
  std::uint64_t last_number_ = 0;
  std::atomic<std::uint64_t> dropped_ = 0;
};

// Memory that a record takes, estimated from its values.
std::size_t row_bytes(const RecordSchema& schema, const void* record);

}  // namespace trivet
