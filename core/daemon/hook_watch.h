// SPDX-License-Identifier: Apache-2.0
// Sees to it that a hook which stops firing does not do so silently: has the broker try all hooks
// now and then (broker/firing.h), says so in the log when one stops or fires again, and counts.
// Main thread, but for what it has found.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "broker/client.h"
#include "trivet/log.h"
#include "trivet/metrics.h"

namespace trivet {

// Why each hook that does not fire is thought not to, by plugin and hook.
using SilentHooks = std::map<std::pair<std::string, std::string>, std::string>;

class HookWatch {
 public:
  // All outlive it.
  HookWatch(broker::Client& broker, Log& log, Metrics& metrics)
      : broker_(broker), log_(log), metrics_(metrics) {}

  // Tries the hooks if the last time is long enough ago. `now_ns` is CLOCK_BOOTTIME.
  void refresh(std::uint64_t now_ns);
  // As of the last time. Any thread.
  SilentHooks silent() const;

 private:
  void compare(const SilentHooks& found);

  broker::Client& broker_;
  Log& log_;
  Metrics& metrics_;
  std::uint64_t next_ns_ = 0;
  bool told_failure_ = false;
  mutable std::mutex mutex_;
  SilentHooks silent_;
};

}  // namespace trivet
