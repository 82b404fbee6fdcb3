// SPDX-License-Identifier: Apache-2.0
// Turns a policy into the rows that the kernel walks. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "network/policy.h"
#include "network/policy_file.h"
#include "trivet/result.h"

namespace trivet::network {

struct CompiledPolicy {
  policy_generation generation{};
  std::vector<policy_row> rows;  // deny, audit, allow; within those as written
  std::vector<policy_row> failsafe;
  std::vector<Subject> subjects;   // bit number by position
  std::vector<std::string> rules;  // names by index, as events carry them
};

// Error where the policy has more rules, rows or subjects than the kernel's maps hold.
Result<CompiledPolicy> compile(const Policy& policy);

}  // namespace trivet::network
