// SPDX-License-Identifier: Apache-2.0
// A plugin's thread, and the bounded queue in front of it. Whatever is queued runs on that thread
// in the order in which it came; timers run between. Every method is thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "event.h"

namespace trivet {

class Worker {
 public:
  using Clock = std::chrono::steady_clock;
  using Task = std::function<void()>;

  // Events in time order: what they weigh in each lane, and the work that they are. Either run or
  // drop at a time.
  struct Load {
    std::array<std::size_t, LANE_COUNT> bytes{};
    Task run;
    std::function<void(lane of)> drop;  // forgets the events of that lane; on whoever's thread
  };

  // Bytes of waiting events that a lane may hold in one queue. Whoever offers leaves out the events
  // of a lane that is full: a flood of bulk never costs an alert.
  static constexpr std::size_t kMaxLaneBytes = 64u << 20;
  // Records of other plugins that may wait; the newest is refused.
  static constexpr std::size_t kMaxRecords = 65'536;

  // `name` is the thread's, at most 15 characters.
  explicit Worker(std::string name);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Always accepted: for the few things that control the plugin.
  void post(Task task);
  void offer(Load load);
  // Drops the oldest waiting events of that lane, load by load, until it has room for `bytes` more
  // or none wait.
  void make_room(lane of, std::size_t bytes);
  // False if too many records wait already.
  bool offer_record(Task task);
  // Runs the task on the worker and waits for it; false if clear() dropped it. Not from the worker.
  bool run(const Task& task);
  void every(std::chrono::milliseconds period, Task tick);
  // Drops timers and whatever waits; what runs now finishes. The thread lives on. How many records
  // that were; of events each load's drop() is told.
  std::size_t clear();

  // Bytes of that lane's events that wait.
  std::size_t queued_bytes(lane of) const { return lane_bytes_[of]; }

 private:
  struct Record {
    Task run;
  };
  struct Timer {
    Clock::duration period;
    Clock::time_point due;
    Task tick;
  };
  using Item = std::variant<Task, Load, Record>;

  void loop();
  void run_due_timers(std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> queue_;
  std::array<std::atomic<std::size_t>, LANE_COUNT> lane_bytes_{};
  std::size_t records_ = 0;
  std::vector<Timer> timers_;
  std::uint64_t timers_generation_ = 0;  // grows with each change of the list
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace trivet
