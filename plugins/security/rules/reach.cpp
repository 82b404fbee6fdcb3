// SPDX-License-Identifier: Apache-2.0
#include "security/rules/reach.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>

namespace trivet::security {
namespace {

enum class Truth { no, maybe, yes };

Truth certain(bool answer) {
  return answer ? Truth::yes : Truth::no;
}

struct Range {
  std::int64_t low = std::numeric_limits<std::int64_t>::min();
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
};

Truth range_matches(const Test& test, const Range& range) {
  auto one = [&](std::int64_t n) {
    switch (test.op) {
      case Operator::less:
        return range.high < n ? Truth::yes : range.low >= n ? Truth::no : Truth::maybe;
      case Operator::less_equal:
        return range.high <= n ? Truth::yes : range.low > n ? Truth::no : Truth::maybe;
      case Operator::greater:
        return range.low > n ? Truth::yes : range.high <= n ? Truth::no : Truth::maybe;
      case Operator::greater_equal:
        return range.low >= n ? Truth::yes : range.high < n ? Truth::no : Truth::maybe;
      default:  // equality, here of one number
        if (n < range.low || n > range.high) return Truth::no;
        return range.low == range.high ? Truth::yes : Truth::maybe;
    }
  };
  if (test.op == Operator::exists) return Truth::yes;
  Truth best = Truth::no;
  for (std::int64_t n : test.numbers) best = std::max(best, one(n));
  if (test.op != Operator::not_equal) return best;
  return best == Truth::yes ? Truth::no : best == Truth::no ? Truth::yes : Truth::maybe;
}

// What is known of the events of one kind, and nothing more.
using Judge = std::function<Truth(const Test&)>;

class Supposition {
 public:
  explicit Supposition(Judge judge) : judge_(std::move(judge)) {}

  Truth of(const Filter& filter) {
    if (filter.memo != 0) {
      if (auto known = memos_.find(filter.memo); known != memos_.end()) return known->second;
    }
    Truth answer = Truth::maybe;
    switch (filter.kind) {
      case Filter::Kind::test:
        answer = judge_(filter.test);
        break;
      case Filter::Kind::negation: {
        Truth inner = of(*filter.children.front());
        answer = inner == Truth::yes ? Truth::no : inner == Truth::no ? Truth::yes : Truth::maybe;
        break;
      }
      case Filter::Kind::all:
        answer = Truth::yes;
        for (const auto& child : filter.children) {
          answer = std::min(answer, of(*child));
          if (answer == Truth::no) break;
        }
        break;
      case Filter::Kind::any:
        answer = Truth::no;
        for (const auto& child : filter.children) {
          answer = std::max(answer, of(*child));
          if (answer == Truth::yes) break;
        }
        break;
    }
    if (filter.memo != 0) memos_.emplace(filter.memo, answer);
    return answer;
  }

 private:
  Judge judge_;
  std::unordered_map<std::size_t, Truth> memos_;
};

// An event of which only the type and the profile are real.
RuleEvent sample(std::size_t type, unsigned profile) {
  RuleEvent event;
  event.type = type;
  event.result = profile & PROFILE_FAILED ? -1 : 0;
  bool reads = profile & PROFILE_READ, writes = profile & PROFILE_WRITE;
  event.open_flags = reads && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
  event.file_mode = profile & PROFILE_DIRECTORY ? S_IFDIR : 0;
  return event;
}

// Fields whose value follows from the type and the profile alone.
constexpr std::array<std::string_view, 8> kDecided = {
    "evt.type",     "evt.failed", "evt.is_open_read", "evt.is_open_write",
    "evt.category", "evt.dir",    "evt.source",       "evt.count"};
// The same; of a file they have no value.
constexpr std::array<std::string_view, 2> kDecidedOfSockets = {"fd.connected", "fd.name_changed"};

std::optional<Range> range_of(std::string_view field, const RuleEvent& event) {
  if (field == "evt.num") return Range{.low = 1};
  if (field == "evt.rawres") return event.failed() ? Range{.high = -1} : Range{.low = 0};
  if (field == "fd.num" && is_open(event.type)) {
    return event.failed() ? Range{-1, -1} : Range{.low = 0};
  }
  return std::nullopt;
}

Truth judge(const Test& test, const RuleEvent& event) {
  std::string_view field = test.use.field->name;
  bool is_fd = field.starts_with("fd.");
  bool has_fd = is_open(event.type) || is_connect(event.type);
  if (is_fd && !has_fd) return Truth::no;  // no value
  if (auto range = range_of(field, event)) return range_matches(test, *range);
  bool decided = std::ranges::find(kDecided, field) != kDecided.end() ||
                 ((field == "fd.type" || field == "fd.typechar") && is_open(event.type)) ||
                 std::ranges::find(kDecidedOfSockets, field) != kDecidedOfSockets.end() ||
                 (field == "evt.is_open_exec" && !is_open(event.type)) ||
                 (field == "evt.res" && !event.failed());
  if (!decided) return Truth::maybe;
  return certain(matches(test, test.use.field->get(event, test.use.argument)));
}

// The profiles that calls of a type can have.
std::vector<unsigned> profiles_of(std::size_t type) {
  if (type == kExecve) return {0};
  if (!is_open(type)) return {0, PROFILE_FAILED};
  std::vector<unsigned> profiles;
  for (unsigned access :
       std::initializer_list<unsigned>{PROFILE_READ, PROFILE_WRITE, PROFILE_READ | PROFILE_WRITE}) {
    for (unsigned rest : std::initializer_list<unsigned>{0, PROFILE_FAILED, PROFILE_DIRECTORY}) {
      profiles.push_back(access | rest);
    }
  }
  return profiles;
}

void collect_unbuilt_types(const Filter& filter, std::set<const Filter*>& seen,
                           std::set<std::string>& names) {
  if (!seen.insert(&filter).second) return;
  for (const auto& child : filter.children) collect_unbuilt_types(*child, seen, names);
  if (filter.kind != Filter::Kind::test || filter.test.use.field->name != "evt.type") return;
  auto add = [&](const std::string& name) {
    if (is_event_type(name) && !is_built_event_type(name)) names.insert(name);
  };
  add(filter.test.text);
  for (const auto& name : filter.test.set) add(name);
}

}  // namespace

bool Reach::none() const {
  return std::ranges::all_of(profiles, [](std::uint16_t p) { return p == 0; });
}

Reach& Reach::operator|=(const Reach& other) {
  for (std::size_t i = 0; i < profiles.size(); ++i) profiles[i] |= other.profiles[i];
  return *this;
}

Reach reach_of(const Filter& filter) {
  Reach reach;
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    for (unsigned profile : profiles_of(type)) {
      RuleEvent event = sample(type, profile);
      Supposition supposition([&](const Test& test) { return judge(test, event); });
      if (supposition.of(filter) != Truth::no) {
        reach.profiles[type] |= static_cast<std::uint16_t>(1u << profile);
      }
    }
  }
  return reach;
}

std::vector<std::string> unbuilt_event_types(const Filter& filter) {
  std::set<const Filter*> seen;
  std::set<std::string> mentioned;
  collect_unbuilt_types(filter, seen, mentioned);
  std::vector<std::string> wanted;
  for (const auto& name : mentioned) {
    Supposition supposition([&](const Test& test) {
      if (test.use.field->name != "evt.type") return Truth::maybe;
      return certain(matches(test, std::string_view(name)));
    });
    if (supposition.of(filter) != Truth::no) wanted.push_back(name);
  }
  return wanted;
}

}  // namespace trivet::security
