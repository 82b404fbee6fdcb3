// SPDX-License-Identifier: Apache-2.0
// What this host offers to a process that loads kernel programs, in words: asked by trying where
// that is possible. Used before the broker begins, by any process; nothing stays behind.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trivet/result.h"

namespace trivet::broker {

enum class Fitness : std::uint8_t {
  good,
  limited,  // trivet runs, and something of it does not
  unfit,    // trivet cannot run
};
std::string_view to_string(Fitness fitness);

struct HostCondition {
  std::string name;  // "kernel", "capabilities", "lockdown"
  Fitness fitness = Fitness::good;
  std::string sentence;  // what is found; where it is not good, what follows and what helps
};

// All that matters, the most basic first. What cannot be tried because a condition before it is
// unfit is left out.
std::vector<HostCondition> host_conditions();

// The first condition that is unfit, as an error. What is limited is told to `warn`, if that is
// set.
Result<void> check_host(const std::function<void(std::string_view)>& warn = {});

}  // namespace trivet::broker
