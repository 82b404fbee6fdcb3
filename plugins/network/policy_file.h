// SPDX-License-Identifier: Apache-2.0
// A policy as a person wrote it, read from TOML and checked whole. Values; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "network/address_range.h"
#include "network/policy.h"
#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet::network {

// The processes that a rule speaks of: exactly one of these is set.
struct Subject {
  std::string cgroup;      // path below the cgroup2 root, with all below it
  std::string executable;  // path of the executable file
  auto operator<=>(const Subject&) const = default;
};

struct Rule {
  std::string name;               // unique in the policy
  std::vector<Subject> subjects;  // one or none; none: every process
  flow_direction direction = FLOW_EGRESS;
  std::vector<AddressRange> peers;  // none: any
  std::vector<Service> services;    // none: any
  policy_verdict verdict = POLICY_ALLOW;
};

// What passes before any rule is asked.
struct FailsafeEntry {
  flow_direction direction = FLOW_INGRESS;
  Service service;
  AddressRange peer;
  bool operator==(const FailsafeEntry&) const = default;
};

// Without a file: everything is allowed and no rule exists.
struct Policy {
  policy_verdict ingress = POLICY_ALLOW;
  policy_verdict egress = POLICY_ALLOW;
  bool audit = false;  // drop nothing, only report
  std::vector<FailsafeEntry> failsafe;
  std::vector<Rule> rules;
};

// The policy in a parsed file. Errors carry the place in that file.
Result<Policy> read_policy(const Config& file);

}  // namespace trivet::network
