// SPDX-License-Identifier: Apache-2.0
#include "daemon/hook_watch.h"

namespace trivet {

namespace {

constexpr std::uint64_t kPeriodNs = 10'000'000'000;

}  // namespace

void HookWatch::refresh(std::uint64_t now_ns) {
  if (now_ns < next_ns_) return;
  next_ns_ = now_ns + kPeriodNs;
  const auto answer = broker_.find_silent();
  if (!answer) {
    if (!told_failure_)
      log_.warning("whether hooks fire cannot be watched",
                   {{"reason", answer.error().to_string()}});
    told_failure_ = true;
    return;
  }
  SilentHooks found;
  for (const auto& hook : *answer) found.try_emplace({hook.plugin, hook.hook}, hook.reason);
  compare(found);
  const std::lock_guard lock(mutex_);
  silent_ = std::move(found);
}

void HookWatch::compare(const SilentHooks& found) {
  for (const auto& [place, reason] : found) {
    metrics_
        .counter("trivet_hook_silent_checks_total",
                 "Checks that found a hook not to fire when it should",
                 {{"plugin", place.first}, {"hook", place.second}})
        .add();
    if (!silent_.contains(place))
      log_.error("a hook has stopped firing: what it saw is missed from now on",
                 {{"plugin", place.first}, {"hook", place.second}, {"reason", reason}});
  }
  for (const auto& [place, reason] : silent_)
    if (!found.contains(place))
      log_.info("a hook fires again", {{"plugin", place.first}, {"hook", place.second}});
}

SilentHooks HookWatch::silent() const {
  const std::lock_guard lock(mutex_);
  return silent_;
}

}  // namespace trivet
