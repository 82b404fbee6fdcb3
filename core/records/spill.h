// SPDX-License-Identifier: Apache-2.0
// Keeps sealed segments in files, so that records outlive the process. Segments come from whoever
// seals them and wait in a bounded queue for a thread of this object's own, which writes them and
// holds each table within its limits; queries read what is there. Any thread, but for finish().
#pragma once

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
#include <thread>
#include <vector>

#include "records/stored_segment.h"

namespace trivet {

// Of each table's files.
struct SpillLimits {
  std::uint64_t bytes = std::uint64_t{1} << 30;
  std::uint64_t age_s = 7 * 86400;  // since a file was written
};

// Of one table.
struct SpillState {
  std::uint64_t segments = 0;  // there now, those waiting not included
  std::uint64_t bytes = 0;     // of them
  std::uint64_t written_rows = 0, written_bytes = 0, evicted_segments = 0;  // ever
  // Rows that got no file, ever: the queue was full; the file could not be written; they would not
  // fit the limit; the daemon ended.
  std::uint64_t lost_to_queue = 0, lost_to_writing = 0, lost_to_limit = 0, lost_to_end = 0;
};

class Spill {
 public:
  // How times since boot are to be understood now.
  using ClockNow = std::function<BootClock()>;

  // Takes over the folder: removes unfinished files, learns what is there. `folder` is a descriptor
  // of a folder that this process may write. The log must outlive this and all parts().
  static Result<std::unique_ptr<Spill>> open(UniqueFd folder, SpillLimits limits, ClockNow now,
                                             Log& log);
  // Writes nothing more; call finish() before.
  ~Spill();

  // Applies from the next file on.
  void set_limits(SpillLimits limits);
  // The largest number of a row in the files found at first: new ones follow.
  std::uint64_t last_number() const { return last_number_; }
  // For how long rows may wait in memory for their segment to be sealed.
  std::uint64_t max_open_ns() const;
  // A complete segment, to be written. Never waits: one that does not fit the queue is counted.
  void keep(std::shared_ptr<const Segment> segment);
  // What is kept of a table's rows whose numbers are below `before`, in order: files, and segments
  // that wait to be written.
  std::vector<TablePart> parts(std::string_view table, std::uint64_t before) const;
  // Writes what waits as long as `patience` lasts, then ends the thread.
  void finish(std::chrono::milliseconds patience);

  std::map<std::string, SpillState> states() const;
  // Files that cannot be used, and those found that are none of trivet's: these are left alone.
  std::uint64_t refused_segments() const { return folder_->refused(); }
  std::uint64_t foreign_files() const { return foreign_files_; }

 private:
  using Stored = std::shared_ptr<StoredSegment>;
  struct Table {
    std::deque<Stored> files;  // by number
    SpillState state;
  };
  using Steady = std::chrono::steady_clock;

  Spill(std::shared_ptr<SpillFolder> folder, SpillLimits limits, ClockNow now, Log& log);
  Result<void> take_over();
  void run();
  void write(const std::shared_ptr<const Segment>& segment);
  // Makes room for `incoming` more bytes. With the lock; returns what must go without it.
  std::vector<Stored> evict(Table& table, std::uint64_t incoming);
  void evict_all();
  void lose(const Segment& segment, std::uint64_t SpillState::*reason);

  const std::shared_ptr<SpillFolder> folder_;
  const ClockNow now_;
  Log& log_;
  std::uint64_t last_number_ = 0;
  std::uint64_t foreign_files_ = 0;
  bool failing_ = false;  // of the thread: the last file could not be written
  std::deque<std::weak_ptr<StoredSegment>> unchecked_;  // of the thread: those found at first

  // Held by whoever seals segments, so never for long.
  mutable std::mutex queue_mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<const Segment>> queue_;  // the first may be being written
  std::size_t queued_bytes_ = 0;
  bool ending_ = false;
  Steady::time_point end_ = Steady::time_point::max();  // to write until then

  mutable std::mutex mutex_;  // never with the other; guards what follows
  SpillLimits limits_;
  std::map<std::string, Table, std::less<>> tables_;
  std::thread thread_;
};

}  // namespace trivet
