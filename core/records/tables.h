// SPDX-License-Identifier: Apache-2.0
// The records kept in memory: for each record type the newest ones, within limits, in segments by
// column; and followers that get each new one. Written by the plugins' workers, read by control,
// queries and outputs. All thread-safe; whoever reads holds segments and makes no writer wait.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "records/follower.h"
#include "records/record_scan.h"
#include "records/row.h"
#include "records/segment.h"
#include "records/spill.h"
#include "trivet/record.h"
#include "trivet/result.h"

namespace trivet {

// How much a table keeps. A table is at most 32 segments or as many as 64Ki rows each make; the
// oldest one goes as a whole, so that slightly less than the limits may be there.
struct TableLimits {
  std::size_t rows = 100000;
  std::size_t bytes = 64 << 20;  // estimated: Segment::bytes()
  std::uint64_t age_ns = 0;      // since a record arrived; 0: no limit
};

// What is known of one table.
struct TableState {
  const RecordSchema* schema;
  std::size_t rows;
  std::size_t bytes;
  std::uint64_t appended;  // ever
  std::uint64_t evicted;   // ever, by any limit
};

class Tables {
 public:
  // `spill`, if there is one, gets every sealed segment; it must outlive the tables.
  explicit Tables(TableLimits limits, Spill* spill = nullptr);

  // Applies to what follows.
  void set_limits(TableLimits limits);
  // Makes a table known before its first record.
  void declare(const RecordSchema& schema);
  void append(const RecordSchema& schema, std::shared_ptr<const void> record);
  // Lets go of what is too old at `now_ns` (CLOCK_BOOTTIME), and seals what the spill should have
  // by now. To be called about once a second.
  void expire(std::uint64_t now_ns);
  // Seals what is there, so that the spill has all of it. For the end.
  void seal_all();

  // The tables that `name` stands for: one by its name, or "requests" for all that end in
  // _requests. Empty if there is none.
  std::vector<std::string> resolve(std::string_view name) const;
  // The error for a name that stands for none.
  Error unknown(std::string_view name) const;
  // What these tables hold in memory now, to be walked over.
  std::vector<std::vector<RecordScan::Span>> spans(const std::vector<std::string>& tables) const;
  // Gets the newest `backlog` rows of these tables and all that follow, with no gap between.
  // `wake`, if given, is called when the queue stops being empty: on the appending thread, so it
  // must be quick and must not call back. The follower ends with the last reference to it, which
  // must go before the Tables do.
  std::shared_ptr<Follower> follow(std::vector<std::string> tables, FollowerLimits limits,
                                   std::size_t backlog, std::function<void()> wake = {});
  // From now on the follower gets rows of these tables instead; what it has got stays.
  void follow_other(Follower& follower, std::vector<std::string> tables);
  // All of a table, oldest first: what the spill keeps, then segments in memory, of which the last
  // may still grow. No row is there twice.
  std::vector<TablePart> parts(std::string_view table) const;
  std::vector<TableState> states() const;
  // Rows that followers dropped, all of them together, ever.
  std::uint64_t dropped() const;

 private:
  struct Piece {
    std::shared_ptr<const Segment> segment;
    std::uint64_t first_ns = 0, last_ns = 0;  // when its rows arrived, CLOCK_BOOTTIME
    bool sealed = false;                      // and the spill has it, if there is one
  };
  struct Table {
    const RecordSchema* schema = nullptr;
    std::deque<Piece> pieces;
    std::shared_ptr<SegmentWriter> writer;  // fills the last piece, if set
    std::size_t rows = 0;
    std::size_t bytes = 0;
    std::uint64_t appended = 0;
    std::uint64_t evicted = 0;
  };
  struct Span {
    std::shared_ptr<const Segment> segment;
    std::size_t first, count;
  };
  using Segments = std::vector<std::shared_ptr<const Segment>>;
  // A segment that nobody appends to any more, and the table to seal it for.
  using Complete = std::pair<Table*, std::shared_ptr<SegmentWriter>>;

  Table& table(const RecordSchema& schema);
  void offer(const RecordSchema& schema, const std::shared_ptr<const void>& record);
  void seal(Table& table, const std::shared_ptr<SegmentWriter>& writer);
  // Lets go of the oldest pieces beyond the limits. One that is not sealed stays, for queries would
  // find it nowhere.
  void evict(Table& table, Segments& evicted) const;
  static void evict_oldest(Table& table, Segments& evicted);
  static std::vector<Row> rows_of(const std::vector<Span>& spans, std::size_t limit);
  // Where the newest `limit` rows of each of these tables are.
  std::vector<Span> newest(const std::vector<std::string>& tables, std::size_t limit) const;

  Spill* const spill_;
  mutable std::mutex mutex_;
  TableLimits limits_;
  std::map<std::string, Table, std::less<>> tables_;  // never shrinks: a Table stays where it is
  std::vector<std::weak_ptr<Follower>> followers_;
  std::uint64_t last_number_ = 0;
  std::atomic<std::uint64_t> dropped_ = 0;
};

// Memory that a record takes as a struct, estimated from its values.
std::size_t row_bytes(const RecordSchema& schema, const void* record);

}  // namespace trivet
