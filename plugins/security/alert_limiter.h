// SPDX-License-Identifier: Apache-2.0
// Holds alerts back that say nothing new, and counts them. What is counted together, a group, is
// one rule in one cgroup for one window of time: so noise hides neither other rules nor other
// cgroups. Within a group alerts are told apart by their likeness, so that noise of one kind does
// not hide an alert of another. Memory is bounded; where room is missing, more is raised, not less.
// The plugin's, on its worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trivet/records/alert.h"

namespace trivet::security {

struct AlertLimits {
  std::int64_t window_s = 60;    // 0: every alert is raised
  std::int64_t alike = 5;        // of each likeness in a group
  std::int64_t different = 100;  // likenesses in a group
};

// What a group held back, at the end of its window.
struct HeldAlerts {
  std::uint64_t count = 0;
  std::uint64_t unlike = 0;    // of them: unlike any that was raised
  std::uint64_t first_ns = 0;  // CLOCK_BOOTTIME of the events
  std::uint64_t last_ns = 0;
  Alert sample;  // the first of these, else of all
};

class AlertLimiter {
 public:
  static constexpr std::size_t kMaxGroups = 4096;
  using Tell = std::function<void(HeldAlerts&&)>;

  // `tell` gets what a group held back when its window ends, or its room is needed.
  explicit AlertLimiter(Tell tell) : tell_(std::move(tell)) {}
  // For groups that begin from now on; one that is there keeps its window.
  void set_limits(const AlertLimits& limits) { limits_ = limits; }

  // Whether to raise an alert; else it has been counted, and made where it is to be the sample.
  // `likeness` is a hash of what makes two alerts of a rule alike.
  bool admit(std::string_view rule, std::uint64_t cgroup, std::uint64_t likeness,
             std::uint64_t time_ns, const std::function<Alert()>& make);
  // Ends the windows that are over at `now_ns` on CLOCK_BOOTTIME.
  void expire(std::uint64_t now_ns);
  // Ends them all.
  void finish();

  std::size_t groups() const { return groups_.size(); }

 private:
  struct Seen {
    std::uint64_t likeness;
    std::int64_t times;
  };
  struct Group {
    std::uint64_t end_ns;
    std::vector<Seen> seen;
    HeldAlerts held;
  };
  using Key = std::pair<std::string, std::uint64_t>;
  struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      if (a.second != b.second) return a.second < b.second;
      return std::string_view(a.first) < std::string_view(b.first);
    }
  };
  using Groups = std::map<Key, Group, Less>;

  Group& group(std::string_view rule, std::uint64_t cgroup, std::uint64_t time_ns);
  void end_oldest();

  const Tell tell_;
  AlertLimits limits_;
  Groups groups_;
  std::deque<Groups::iterator> by_age_;  // the oldest first
};

}  // namespace trivet::security
