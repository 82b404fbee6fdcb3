// SPDX-License-Identifier: Apache-2.0
#include "security/alert_limiter.h"

#include <doctest/doctest.h>

#include "security/keyed_hash.h"

namespace trivet::security {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Limited {
  std::vector<HeldAlerts> told;
  int made = 0;
  AlertLimiter limiter{[this](HeldAlerts&& held) { told.push_back(std::move(held)); }};

  explicit Limited(const AlertLimits& limits = {}) { limiter.set_limits(limits); }
  bool admit(const std::string& rule, std::uint64_t cgroup, std::uint64_t likeness,
             std::uint64_t time_ns) {
    return limiter.admit(rule, cgroup, likeness, time_ns, [&] {
      ++made;
      Alert alert;
      alert.rule = rule;
      alert.output = std::to_string(likeness);
      return alert;
    });
  }
  int admitted(int times, const std::string& rule, std::uint64_t cgroup, std::uint64_t likeness,
               std::uint64_t time_ns) {
    int count = 0;
    for (int i = 0; i < times; ++i) count += admit(rule, cgroup, likeness, time_ns);
    return count;
  }
};

TEST_CASE("noise of one kind hides no other kind, rule or cgroup") {
  Limited run;
  CHECK(run.admitted(100'000, "a", 1, 10, kSecond) == 5);
  CHECK(run.admit("a", 1, 11, kSecond));
  CHECK(run.admit("b", 1, 10, kSecond));
  CHECK(run.admit("a", 2, 10, kSecond));
  CHECK(run.made == 1);  // a sample, not 99,995
}

TEST_CASE("what was held back is told when its time is over, and then all begins anew") {
  Limited run({.window_s = 60, .alike = 2, .different = 3});
  for (std::uint64_t kind = 0; kind < 5; ++kind) run.admitted(4, "a", 1, kind, kind * kSecond);
  run.limiter.expire(59 * kSecond);
  CHECK(run.told.empty());
  run.limiter.expire(60 * kSecond);
  REQUIRE(run.told.size() == 1);
  CHECK(run.told[0].count == 3 * 2 + 2 * 4);
  CHECK(run.told[0].unlike == 2 * 4);
  CHECK(run.told[0].first_ns == 0);
  CHECK(run.told[0].last_ns == 4 * kSecond);
  CHECK(run.told[0].sample.output == "3");  // the first that was unlike those raised
  CHECK(run.admit("a", 1, 4, 60 * kSecond));
  run.limiter.finish();
  CHECK(run.told.size() == 1);  // nothing was held back since
}

TEST_CASE("an event after the end of its group's time begins another, whatever the timer does") {
  Limited run({.window_s = 1, .alike = 1, .different = 1});
  CHECK(run.admitted(3, "a", 1, 1, 0) == 1);
  CHECK(run.admitted(3, "a", 1, 1, kSecond) == 1);
  REQUIRE(run.told.size() == 1);
  CHECK(run.told[0].count == 2);
}

TEST_CASE("without room the oldest group ends early: more is raised, not less") {
  Limited run({.window_s = 3600, .alike = 1, .different = 1});
  for (std::uint64_t cgroup = 0; cgroup < 3 * AlertLimiter::kMaxGroups; ++cgroup) {
    CHECK(run.admitted(2, "a", cgroup, 1, cgroup) == 1);
  }
  CHECK(run.limiter.groups() == AlertLimiter::kMaxGroups);
  CHECK(run.told.size() == 2 * AlertLimiter::kMaxGroups);
  CHECK(run.admit("a", 0, 1, kSecond));
}

TEST_CASE("a window of 0 raises every alert") {
  Limited run({.window_s = 0});
  CHECK(run.admitted(1000, "a", 1, 1, 0) == 1000);
  CHECK(run.limiter.groups() == 0);
}

TEST_CASE("the keyed hash is SipHash-2-4") {
  // Appendix A of the paper: the key 00 01 ... 0f and the text 00 01 ... 0e.
  const HashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string text;
  for (char c = 0; c < 15; ++c) text += c;
  CHECK(keyed_hash(key, text) == 0xa129ca6149be45e5);
}

}  // namespace
}  // namespace trivet::security
