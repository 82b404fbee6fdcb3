// SPDX-License-Identifier: Apache-2.0
// The kernel's copy of the policy, and the only writer of it. A reload fills the generation that is
// not in force, then one word, the epoch, switches every hook at once. Plugin's worker thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "network/policy.h"
#include "network/policy_compiler.h"
#include "network/subjects.h"
#include "trivet/bpf.h"
#include "trivet/result.h"

namespace trivet::network {

class PolicyMaps {
 public:
  // Finds the maps in the object, which must outlive this.
  static Result<PolicyMaps> open(Object& object);

  // What is not policy; takes force at once.
  Result<void> set(const policy_settings& settings);
  // Puts a policy in force. On error the old one stays, whole.
  Result<void> install(const CompiledPolicy& policy, const Identities& identities);
  // The policy in force, for subjects that are now these.
  Result<void> update_identities(const Identities& identities);

  std::uint64_t epoch() const { return epoch_; }

  // The name of a rule as an event of that epoch has it: also "(default)", "(fail-safe)", or
  // "(forgotten)" for a policy that was replaced many reloads ago.
  std::string_view rule_name(std::uint64_t epoch, std::uint32_t rule) const;

  // What a rule of the policy in force did since that policy was installed; an index of
  // policy_counts' own for the defaults and the fail-safe.
  Result<policy_count> rule_count(std::uint32_t rule) const;
  Result<policy_count> default_count() const;
  Result<policy_count> failsafe_count() const;

 private:
  struct Generation {
    std::uint64_t first_epoch;
    std::shared_ptr<const std::vector<std::string>> rules;
  };
  struct Maps {
    Map* epoch = nullptr;
    Map* generations = nullptr;
    Map* settings = nullptr;
    Map* prefixes4 = nullptr;
    Map* prefixes6 = nullptr;
    Map* pages = nullptr;
    Map* peers = nullptr;
    Map* services = nullptr;
    Map* cells = nullptr;
    Map* terms = nullptr;
    Map* subjects = nullptr;
    Map* cgroups = nullptr;
    Map* executables = nullptr;
    Map* traits = nullptr;
    Map* counts = nullptr;
  };
  // What a slot of the maps that have no room for all of it holds.
  struct Slot {
    std::map<AddressRange, std::uint32_t> prefixes;
    std::map<std::uint64_t, std::uint32_t> cells;
    std::vector<policy_page> pages;
  };

  PolicyMaps() = default;
  Result<void> write_identities(const Identities& identities, unsigned slot);
  Result<void> write_prefixes(const CompiledPolicy& policy, unsigned slot);
  Result<void> write_cells(const CompiledPolicy& policy, unsigned slot);
  Result<void> write_tables(const CompiledPolicy& policy, unsigned slot);
  Result<void> switch_to(std::uint64_t epoch);
  Result<policy_count> count_since_install(std::uint32_t index) const;
  Result<policy_count> total_count(std::uint32_t index) const;

  Maps maps_;
  std::uint64_t epoch_ = 0;
  std::chrono::steady_clock::time_point switched_{};
  Slot slots_[2];
  std::map<std::uint64_t, policy_identity> cgroup_entries_;
  std::map<ExecutableId, policy_identity> executable_entries_;
  std::map<Trait, policy_identity> trait_entries_;
  std::deque<Generation> history_;
  std::vector<policy_count> baseline_;  // counts of the slot's earlier tenants, by index
};

}  // namespace trivet::network
