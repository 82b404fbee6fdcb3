// SPDX-License-Identifier: Apache-2.0
#include "control/verb_runner.h"

#include <utility>

namespace trivet {

VerbRunner::VerbRunner(Dispatch dispatch, std::function<void()> answered)
    : dispatch_(std::move(dispatch)), answered_(std::move(answered)), thread_([this] { loop(); }) {}

VerbRunner::~VerbRunner() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void VerbRunner::run(std::uint64_t client, ControlRequest request, Access granted) {
  {
    std::lock_guard lock(mutex_);
    jobs_.push_back({client, std::move(request), granted});
  }
  changed_.notify_one();
}

std::vector<VerbRunner::Answer> VerbRunner::take() {
  std::lock_guard lock(mutex_);
  return std::exchange(answers_, {});
}

void VerbRunner::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();

    auto answer = dispatch_(job.request.verb, job.request.arguments, job.granted);
    auto line = answer ? write_result(*answer) : Result<std::string>(std::move(answer).error());
    std::string text = line ? std::move(*line) : write_error(line.error());

    lock.lock();
    answers_.push_back({job.client, std::move(text)});
    answered_();
  }
}

}  // namespace trivet
