// SPDX-License-Identifier: Apache-2.0
// Takes events out of the four lanes and hands them on in time order. One thread calls run(); the
// counters may be read by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <vector>

#include "broker/client.h"
#include "event.h"
#include "lanes/batch.h"
#include "lanes/merge.h"
#include "lanes/ring.h"
#include "trivet/result.h"

namespace trivet::lanes {

// "lifecycle", "alert", "candidate", "bulk".
std::string_view lane_name(unsigned lane);

// What the kernel and the reader counted for one type in one lane.
struct TypeAccount {
  unsigned lane = 0;
  unsigned type = 0;
  lane_account kernel{};        // summed over CPUs
  std::uint64_t delivered = 0;  // read from the ring and well-formed
};

struct LaneCounters {
  std::uint64_t delivered = 0;
  std::uint64_t malformed = 0;  // a header that does not fit its record; dropped
  std::uint64_t missing = 0;    // gaps in the sequence numbers: equals the kernel's losses
  // Handed on after a newer event of its own lane or a newer lifecycle event: what it was judged
  // with may be newer than itself.
  std::uint64_t late = 0;
};

class LaneReader {
 public:
  using Handler = std::function<void(Batch&&)>;
  // Bytes of a lane that a consumer is ready to take now.
  using Room = std::function<std::size_t(enum lane)>;

  // `maps` are those of broker::Client::lanes(); one that is missing is an error. Both functions
  // are called on the reader's thread, the handler never with an empty batch. What `room` leaves no
  // room for stays in the kernel, where it may overflow and is counted.
  static Result<std::unique_ptr<LaneReader>> create(
      std::vector<broker::LoadedMap> maps, Handler handler,
      Room room = [](enum lane) { return SIZE_MAX; });

  // Reads until asked to stop, then once more what is there.
  void run(std::stop_token stop);
  // One round at once; how many events it handed on. Instead of run(), on the thread that owns it.
  std::size_t read_round();

  // Leaves the lifecycle lane in the kernel until release_lifecycle(): host facts stand still. Any
  // thread.
  void hold_lifecycle() { lifecycle_held_ = true; }
  // Runs the task on the reader's thread between two rounds, then reads the lifecycle lane again.
  // Any thread.
  void release_lifecycle(std::function<void()> task);

  // Any thread.
  LaneCounters counters(unsigned lane) const;
  // Types of which nothing was offered or delivered are left out. Any thread.
  Result<std::vector<TypeAccount>> accounts() const;
  // The same of one lane.
  Result<std::vector<TypeAccount>> accounts(unsigned lane) const;

 private:
  LaneReader(Handler handler, Room room);
  Result<void> watch(unsigned lane, int ring);
  void wait(int events, std::chrono::milliseconds time);
  void run_task();

  const Handler handler_;
  const Room room_;
  std::vector<MappedRing> rings_;
  Merge merge_;
  UniqueFd accounts_;
  UniqueFd wake_;    // eventfd: a stop or a task
  UniqueFd any_;     // epoll: the rings that wake the reader
  UniqueFd urgent_;  // epoll: the alerts' alone
  Batch batch_;      // of one round; its memory serves the next, unless the handler takes it
  std::atomic<bool> lifecycle_held_ = false;
  std::mutex mutex_;
  std::function<void()> task_;  // guarded by mutex_
};

}  // namespace trivet::lanes
