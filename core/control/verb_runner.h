// SPDX-License-Identifier: Apache-2.0
// Runs control verbs one after the other on a thread of its own, since a verb may wait for a plugin
// or for the broker, and the socket's clients must not.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/request.h"
#include "trivet/host.h"
#include "trivet/result.h"

namespace trivet {

class VerbRunner {
 public:
  // An answer line for the client of that id.
  struct Answer {
    std::uint64_t client;
    std::string line;
  };

  // `dispatch` runs on this object's thread; `answered` is called there when take() has something.
  using Dispatch = std::function<Result<std::string>(const std::string&,
                                                     const std::vector<std::string>&, Access)>;
  VerbRunner(Dispatch dispatch, std::function<void()> answered);
  // Waits for the verb that is running; those that wait are dropped.
  ~VerbRunner();

  // Each client has at most one verb here, so the queue is as bounded as the clients are.
  void run(std::uint64_t client, ControlRequest request, Access granted);
  std::vector<Answer> take();

 private:
  struct Job {
    std::uint64_t client;
    ControlRequest request;
    Access granted;
  };
  void loop();

  const Dispatch dispatch_;
  const std::function<void()> answered_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  std::vector<Answer> answers_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the rest
};

}  // namespace trivet
