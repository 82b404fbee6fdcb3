// SPDX-License-Identifier: Apache-2.0
// The main thread's loop: signals, and tasks that other threads hand over. Signals must be blocked
// in every thread (the broker's launch() sees to that).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet {

class MainLoop {
 public:
  // Error if the kernel refuses the descriptors.
  static Result<std::unique_ptr<MainLoop>> create();

  // Calls `gone` once when the other end of this socket has gone. The socket must outlive run().
  // Before run().
  void watch(int socket, std::function<void()> gone) {
    watched_ = socket;
    gone_ = std::move(gone);
  }
  // Runs until quit(): `signal` for each signal, tasks as they come, `tick` about once each period.
  void run(const std::function<void(int signal)>& on_signal, std::chrono::milliseconds period,
           const std::function<void()>& tick);
  // Makes run() return after the task at hand. Main thread.
  void quit() { quit_ = true; }
  // Runs the task on the main thread; destroys it instead once the loop has ended. Any thread.
  void post(std::function<void()> task);

 private:
  MainLoop(UniqueFd signals, UniqueFd wake)
      : signals_(std::move(signals)), wake_(std::move(wake)) {}
  void run_tasks();

  UniqueFd signals_;
  UniqueFd wake_;
  int watched_ = -1;
  std::function<void()> gone_;
  bool quit_ = false;
  std::mutex mutex_;  // guards what follows
  bool ended_ = false;
  std::vector<std::function<void()>> tasks_;
};

}  // namespace trivet
