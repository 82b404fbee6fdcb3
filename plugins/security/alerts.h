// SPDX-License-Identifier: Apache-2.0
// Makes alerts of matches: counts them as Falco does, holds back what is too much of the same, and
// publishes the rest. The plugin's, between start() and stop(), on its worker.
#pragma once

#include <unordered_map>

#include "security/alert_limiter.h"
#include "security/keyed_hash.h"
#include "security/rules/rule_set.h"
#include "trivet/host.h"

namespace trivet::security {

class Alerts {
 public:
  Alerts(Host& host, const AlertLimits& limits);
  // Tells what is still held back.
  ~Alerts() { limiter_.finish(); }
  Alerts(const Alerts&) = delete;
  Alerts& operator=(const Alerts&) = delete;

  // Other rules, other limits: counts and windows stay.
  void begin_rules(const AlertLimits& limits);
  // `evaluation` has begun with the event.
  void raise(const Rule& rule, const RuleEvent& event, Evaluation& evaluation);
  // Time passes: call about once each second.
  void tick();

 private:
  struct Counters {
    Counter* matches;
    Counter* held;
  };
  Counters& counters(const Rule& rule);
  std::uint64_t likeness(const RuleEvent& event) const;
  void tell(HeldAlerts&& held);

  Host& host_;
  HashKey key_;
  AlertLimiter limiter_;
  std::unordered_map<const Rule*, Counters> counters_;  // of rules that have matched
};

}  // namespace trivet::security
