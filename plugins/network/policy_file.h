// SPDX-License-Identifier: Apache-2.0
// A policy as a person wrote it, read from TOML and checked whole. Values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "network/address_range.h"
#include "network/policy.h"
#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet::network {

// One thing that can be said of a process.
struct Selector {
  enum class Kind {
    cgroup,           // path below the cgroup2 root, with all below it
    unit,             // systemd unit; * and ? stand for letters, as in the next three
    container_name,   // as its runtime has it
    container_image,  // as it was asked for
    container_label,  // value of the label `label`
    executable,       // path of the executable file
    user,             // name or number, effective
    group,            // name or number, effective
    netns,            // file of a network namespace, or its inode number
    host,             // in no container: in the first pid namespace
  };
  Kind kind = Kind::cgroup;
  std::string text;
  std::string label = {};  // container_label
  auto operator<=>(const Selector&) const = default;
};

// The processes of which all of these are true; sorted, at least one.
using Subject = std::vector<Selector>;

// Addresses: those in one of `in` and none of `out`.
struct AddressSet {
  std::vector<AddressRange> in;
  std::vector<AddressRange> out;
  bool host_in = false;  // this host's own addresses, as its interfaces have them
  bool host_out = false;
  auto operator<=>(const AddressSet&) const = default;
};

// The peers that a rule is about: those in one of `in`, and none of `out`. Indexes of
// Policy::address_sets, sorted.
struct Peers {
  std::vector<std::uint32_t> in;  // none: every address
  std::vector<std::uint32_t> out;
  bool any() const { return in.empty() && out.empty(); }
  auto operator<=>(const Peers&) const = default;
};

struct Rule {
  std::string name;               // unique in the policy
  std::uint32_t tier = 100;       // lower ones are asked first
  std::vector<Subject> subjects;  // any of them; none: every process
  flow_direction direction = FLOW_EGRESS;
  Peers peers;
  std::vector<Service> services;  // none: any
  policy_verdict verdict = POLICY_ALLOW;
  bool log = true;                             // its refusals are told, not only counted
  std::optional<std::int64_t> valid_until_ns;  // CLOCK_REALTIME; then it is as if it were not there
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
  std::vector<AddressSet> address_sets;
  std::vector<Rule> rules;
};

// The policy in a parsed file. `set_files` are what its sets may name as their files. Errors carry
// the place in that file, or in the set's.
Result<Policy> read_policy(const Config& file, const std::vector<TextFile>& set_files);

}  // namespace trivet::network
