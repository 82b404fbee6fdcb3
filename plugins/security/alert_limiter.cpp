// SPDX-License-Identifier: Apache-2.0
#include "security/alert_limiter.h"

#include <algorithm>

namespace trivet::security {

bool AlertLimiter::admit(std::string_view rule, std::uint64_t cgroup, std::uint64_t likeness,
                         std::uint64_t time_ns, const std::function<Alert()>& make) {
  expire(time_ns);
  if (limits_.window_s == 0) return true;
  Group& mine = group(rule, cgroup, time_ns);
  HeldAlerts& held = mine.held;
  bool sample = held.count == 0;
  auto seen = std::ranges::find(mine.seen, likeness, &Seen::likeness);
  if (seen != mine.seen.end()) {
    if (++seen->times <= limits_.alike) return true;
  } else if (std::ssize(mine.seen) < limits_.different) {
    mine.seen.push_back({likeness, 1});
    return true;
  } else {
    if (++held.unlike == 1) sample = true;
  }
  if (++held.count == 1) held.first_ns = time_ns;
  if (sample) held.sample = make();
  held.last_ns = std::max(held.last_ns, time_ns);
  return false;
}

AlertLimiter::Group& AlertLimiter::group(std::string_view rule, std::uint64_t cgroup,
                                         std::uint64_t time_ns) {
  auto found = groups_.find(std::pair(rule, cgroup));
  if (found != groups_.end()) return found->second;
  if (groups_.size() >= kMaxGroups) end_oldest();
  const std::uint64_t window_ns = static_cast<std::uint64_t>(limits_.window_s) * 1'000'000'000;
  auto made = groups_.emplace(Key(rule, cgroup), Group{time_ns + window_ns, {}, {}}).first;
  by_age_.push_back(made);
  return made->second;
}

void AlertLimiter::expire(std::uint64_t now_ns) {
  while (!by_age_.empty() && by_age_.front()->second.end_ns <= now_ns) end_oldest();
}

void AlertLimiter::finish() {
  while (!by_age_.empty()) end_oldest();
}

void AlertLimiter::end_oldest() {
  auto oldest = by_age_.front();
  by_age_.pop_front();
  HeldAlerts held = std::move(oldest->second.held);
  groups_.erase(oldest);
  if (held.count != 0) tell_(std::move(held));
}

}  // namespace trivet::security
