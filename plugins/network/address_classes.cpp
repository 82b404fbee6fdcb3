// SPDX-License-Identifier: Apache-2.0
#include "network/address_classes.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace trivet::network {

namespace {

// How often sets are named by all classes together: more take seconds to compile.
constexpr std::size_t kMaxMembers = 4'000'000;

// A set that begins to hold, or to leave out, the addresses of a prefix.
struct Mark {
  std::uint32_t set;
  bool out;
};

// Which sets hold an address, as one prefix after the other is entered and left.
class Membership {
 public:
  explicit Membership(std::size_t sets) : in_(sets), out_(sets) {}

  void change(const std::vector<Mark>& marks, int by) {
    for (const auto& mark : marks) {
      (mark.out ? out_ : in_)[mark.set] += by;
      if (in_[mark.set] > 0 && out_[mark.set] == 0) {
        now_.insert(mark.set);
      } else {
        now_.erase(mark.set);
      }
    }
  }
  std::vector<std::uint32_t> now() const { return {now_.begin(), now_.end()}; }
  std::size_t size() const { return now_.size(); }

 private:
  std::vector<int> in_, out_;
  std::set<std::uint32_t> now_;
};

bool holds(const AddressRange& outer, const AddressRange& inner) {
  if (outer.family != inner.family || outer.prefix > inner.prefix) return false;
  const int whole = outer.prefix / 8, rest = outer.prefix % 8;
  if (!std::equal(outer.address.begin(), outer.address.begin() + whole, inner.address.begin())) {
    return false;
  }
  return rest == 0 || (outer.address[whole] ^ inner.address[whole]) >> (8 - rest) == 0;
}

// Outer prefixes come before those within them.
bool before(const AddressRange& a, const AddressRange& b) {
  return std::tie(a.family, a.address, a.prefix) < std::tie(b.family, b.address, b.prefix);
}

using Marks = std::map<AddressRange, std::vector<Mark>, decltype(&before)>;

Marks marks_of(const std::vector<AddressSet>& sets, const std::vector<AddressRange>& host) {
  Marks marks(&before);
  for (std::uint32_t index = 0; index < sets.size(); ++index) {
    const AddressSet& set = sets[index];
    for (const auto& range : set.in) marks[range].push_back({index, false});
    for (const auto& range : set.out) marks[range].push_back({index, true});
    for (const auto& range : host) {
      if (set.host_in) marks[range].push_back({index, false});
      if (set.host_out) marks[range].push_back({index, true});
    }
  }
  return marks;
}

}  // namespace

Result<AddressClasses> classify(const std::vector<AddressSet>& sets,
                                const std::vector<AddressRange>& host) {
  const Marks marks = marks_of(sets, host);
  if (marks.size() > POLICY_PREFIXES_MAX) {
    return Error{"the policy has " + std::to_string(marks.size()) +
                 " different address ranges, but " + std::to_string(POLICY_PREFIXES_MAX) +
                 " fit: merge some"};
  }
  AddressClasses classes;
  classes.members.emplace_back();
  std::map<std::vector<std::uint32_t>, std::uint32_t> known{{{}, 0}};
  Membership membership(sets.size());
  std::vector<std::pair<const AddressRange*, const std::vector<Mark>*>> around;
  std::size_t members = 0;
  for (const auto& [range, here] : marks) {
    while (!around.empty() && !holds(*around.back().first, range)) {
      membership.change(*around.back().second, -1);
      around.pop_back();
    }
    membership.change(here, 1);
    around.emplace_back(&range, &here);
    members += membership.size();
    if (members > kMaxMembers) {
      return Error{
          "too many of the policy's address ranges lie within one another: name what "
          "belongs together in one set"};
    }
    const auto [found, fresh] =
        known.emplace(membership.now(), static_cast<std::uint32_t>(classes.members.size()));
    if (fresh) classes.members.push_back(found->first);
    classes.prefixes.push_back({range, found->second});
  }
  if (classes.members.size() > POLICY_PEERS_MAX) {
    return Error{"the policy tells " + std::to_string(classes.members.size()) +
                 " kinds of peers apart, but " + std::to_string(POLICY_PEERS_MAX) +
                 " fit: let more rules share a set of addresses"};
  }
  return classes;
}

}  // namespace trivet::network
