// SPDX-License-Identifier: Apache-2.0
#include "daemon/main_loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

namespace trivet {

Result<std::unique_ptr<MainLoop>> MainLoop::create() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return system_error(errno, "cannot receive signals");
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return system_error(errno, "cannot create an eventfd");
  return std::unique_ptr<MainLoop>(new MainLoop(std::move(signals), std::move(wake)));
}

void MainLoop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    tasks_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  // The counter can only be full if nobody has read it: then the loop is about to wake anyway.
  (void)!write(wake_.get(), &one, sizeof(one));
}

void MainLoop::run_tasks() {
  std::uint64_t count;
  (void)!read(wake_.get(), &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (const auto& task : tasks) task();
}

void MainLoop::run(const std::function<void(int)>& on_signal, std::chrono::milliseconds period,
                   const std::function<void()>& tick) {
  using Clock = std::chrono::steady_clock;
  auto next = Clock::now() + period;
  while (!quit_) {
    std::array<pollfd, 3> waiting{
        {{signals_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}, {watched_, 0, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    poll(waiting.data(), waiting.size(), left > 0 ? static_cast<int>(left) : 0);
    if (waiting[2].revents != 0) {
      watched_ = -1;
      gone_();
    }
    signalfd_siginfo info{};
    while (!quit_ && read(signals_.get(), &info, sizeof(info)) == sizeof(info))
      on_signal(static_cast<int>(info.ssi_signo));
    if (!quit_) run_tasks();
    if (!quit_ && Clock::now() >= next) {
      next = Clock::now() + period;
      tick();
    }
  }
  std::vector<std::function<void()>> dropped;  // destroyed outside the lock
  const std::lock_guard lock(mutex_);
  ended_ = true;
  dropped.swap(tasks_);
}

}  // namespace trivet
