// SPDX-License-Identifier: Apache-2.0
#include "bus/worker.h"

#include <pthread.h>

#include <algorithm>
#include <future>
#include <memory>
#include <utility>

namespace trivet {

Worker::Worker(std::string name)
    : thread_([this, name = std::move(name)] {
        pthread_setname_np(pthread_self(), name.c_str());
        loop();
      }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Worker::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    queue_.emplace_back(std::move(task));
  }
  wake_.notify_one();
}

void Worker::offer(Load load) {
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < LANE_COUNT; ++i) lane_bytes_[i] += load.bytes[i];
    queue_.emplace_back(std::move(load));
  }
  wake_.notify_one();
}

void Worker::make_room(lane of, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  for (auto& item : queue_) {
    if (lane_bytes_[of] + bytes <= kMaxLaneBytes) return;
    auto* load = std::get_if<Load>(&item);
    if (!load || load->bytes[of] == 0) continue;
    load->drop(of);
    lane_bytes_[of] -= std::exchange(load->bytes[of], 0);
  }
}

bool Worker::offer_record(Task task) {
  {
    const std::lock_guard lock(mutex_);
    if (records_ >= kMaxRecords) return false;
    ++records_;
    queue_.emplace_back(Record{std::move(task)});
  }
  wake_.notify_one();
  return true;
}

bool Worker::run(const Task& task) {
  // The queue owns the promise: if clear() drops the task, the promise breaks and the wait ends.
  auto done = std::make_shared<std::promise<void>>();
  auto ended = done->get_future();
  bool ran = false;
  post([&task, &ran, done = std::move(done)] {
    task();
    ran = true;
    done->set_value();
  });
  ended.wait();
  return ran;
}

void Worker::every(std::chrono::milliseconds period, Task tick) {
  {
    const std::lock_guard lock(mutex_);
    timers_.push_back({period, Clock::now() + period, std::move(tick)});
    ++timers_generation_;
  }
  wake_.notify_one();
}

std::size_t Worker::clear() {
  std::deque<Item> dropped;  // destroyed outside the lock: tasks may own much
  {
    const std::lock_guard lock(mutex_);
    dropped.swap(queue_);
    for (auto& bytes : lane_bytes_) bytes = 0;
    records_ = 0;
    timers_.clear();
    ++timers_generation_;
  }
  std::size_t records = 0;
  for (const auto& item : dropped) {
    if (std::holds_alternative<Record>(item)) ++records;
    if (const auto* load = std::get_if<Load>(&item))
      for (unsigned i = 0; i < LANE_COUNT; ++i)
        if (load->bytes[i] > 0) load->drop(static_cast<lane>(i));
  }
  return records;
}

void Worker::run_due_timers(std::unique_lock<std::mutex>& lock) {
  const auto now = Clock::now();
  // A tick may add timers or clear them all: hold no reference across it, and look anew after that.
  const auto generation = timers_generation_;
  for (std::size_t i = 0; i < timers_.size() && generation == timers_generation_; ++i) {
    if (timers_[i].due > now) continue;
    timers_[i].due = now + timers_[i].period;
    const Task tick = timers_[i].tick;
    lock.unlock();
    tick();
    lock.lock();
  }
}

void Worker::loop() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    run_due_timers(lock);
    if (ending_) break;
    if (queue_.empty()) {
      auto next = Clock::time_point::max();
      for (const auto& timer : timers_) next = std::min(next, timer.due);
      const auto ready = [&, known = timers_generation_] {
        return ending_ || !queue_.empty() || timers_generation_ != known;
      };
      if (next == Clock::time_point::max())
        wake_.wait(lock, ready);
      else
        wake_.wait_until(lock, next, ready);
      continue;
    }
    Item item = std::move(queue_.front());
    queue_.pop_front();
    if (const auto* load = std::get_if<Load>(&item))
      for (std::size_t i = 0; i < LANE_COUNT; ++i) lane_bytes_[i] -= load->bytes[i];
    if (std::holds_alternative<Record>(item)) --records_;
    lock.unlock();
    std::visit(
        [](auto& work) {
          if constexpr (std::is_same_v<std::decay_t<decltype(work)>, Task>)
            work();
          else
            work.run();
        },
        item);
    item = Task();
    lock.lock();
  }
}

}  // namespace trivet
