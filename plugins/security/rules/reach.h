// SPDX-License-Identifier: Apache-2.0
// Which events a condition could match at all, from what the kernel knows of a call at once: its
// type, whether it failed, how a file was opened. What no rule could match never leaves the kernel,
// and what remains of a condition for the events of one kind is all that is judged on them. It errs
// on one side only: an event that could match is never left out.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "security/rules/filter.h"
#include "security/syscalls.h"

namespace trivet::security {

struct Reach {
  // For each type of kEventTypes the profiles (enum call_profile) that could match: bit p, profile
  // p.
  std::array<std::uint16_t, kEventTypes.size()> profiles{};

  bool none() const;
  Reach& operator|=(const Reach& other);
};

// The profile of an event, as the kernel programs tell it.
unsigned profile_of(const RuleEvent& event);
// The profiles that calls of a type can have.
std::vector<unsigned> profiles_of(std::size_t type);

enum class Truth { no, maybe, yes };

// What remains of conditions once some comparisons are decided. Used while rules are loaded.
class Specializer {
 public:
  using Judge = std::function<Truth(const Comparison&)>;
  Specializer(FilterGraph& graph, Judge judge) : graph_(graph), judge_(std::move(judge)) {}
  // For the events of one kind.
  Specializer(FilterGraph& graph, std::size_t type, unsigned profile);

  // A node that answers the same for these events; kNever and kAlways where that is certain.
  NodeId of(NodeId id);

 private:
  FilterGraph& graph_;
  Judge judge_;
  std::unordered_map<NodeId, NodeId> done_;
};

// The event types that the condition asks for and that no hook sees yet, sorted.
std::vector<std::string> unbuilt_event_types(FilterGraph& graph, NodeId condition);

}  // namespace trivet::security
