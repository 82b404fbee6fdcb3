// SPDX-License-Identifier: Apache-2.0
// SQL over the records and over what is known of this host now: read-only, within limits. Each
// query has a connection of its own and runs on its caller's thread; any number may run at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "query/live_table.h"
#include "query/row_sink.h"
#include "records/format.h"
#include "records/tables.h"
#include "trivet/result.h"

namespace trivet {

// Of one query.
struct QueryLimits {
  std::size_t memory_bytes = 256 << 20;
  std::uint64_t time_ns = 30'000'000'000;  // from its start to its last row taken by the sink
};

// The longest statement, in bytes.
inline constexpr std::size_t kMaxStatementBytes = 64 << 10;

class QueryEngine {
 public:
  // `tables` must outlive the engine, and what the live tables list must too. The table `columns`
  // is always there.
  QueryEngine(const Tables& tables, std::vector<LiveTable> live, OriginNow origin);

  // Applies to queries that start later. Any thread.
  void set_limits(QueryLimits limits);

  // Runs one SELECT statement. The error is for the person who wrote it. A sink that refuses, or
  // `cancelled`, ends the query without an error. It may take `time_ns` if that is less than what
  // the limits allow; 0: what they allow. The error's code is ETIME or ENOMEM for one that reached
  // a limit; its place has the column in the statement, if that is known, and no file.
  Result<void> run(const std::string& sql, RowSink& sink, const std::atomic<bool>& cancelled,
                   std::uint64_t time_ns = 0) const;

  // What can be asked for: the schema of every table.
  std::vector<const RecordSchema*> schemas() const;

 private:
  const Tables& tables_;
  const std::vector<LiveTable> live_;
  const OriginNow origin_;
  std::atomic<std::size_t> memory_bytes_;
  std::atomic<std::uint64_t> time_ns_;
  mutable std::atomic<unsigned> running_ = 0;
  mutable std::atomic<bool> took_much_ = false;  // one that ran since none did
};

}  // namespace trivet
