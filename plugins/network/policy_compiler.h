// SPDX-License-Identifier: Apache-2.0
// Turns a policy into the tables that the kernel judges by: see bpf/network/policy.h. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "network/address_classes.h"
#include "network/policy.h"
#include "network/policy_file.h"
#include "network/service_classes.h"
#include "trivet/result.h"

namespace trivet::network {

// What a policy means depends on besides its text.
struct Surroundings {
  std::vector<AddressRange> host;  // this host's addresses
  std::int64_t now_ns = 0;         // CLOCK_REALTIME
  bool operator==(const Surroundings&) const = default;
};

struct CompiledPolicy {
  policy_generation generation{};
  std::vector<policy_row> failsafe;
  std::vector<Selector> selectors;         // bit number by position
  std::vector<policy_selectors> subjects;  // by the index in terms
  std::vector<AddressClasses::Prefix> prefixes;
  std::vector<policy_page> pages;       // of one slot
  std::vector<policy_peer> peers;       // by class of addresses
  std::vector<std::uint32_t> services;  // first term by class of services
  struct Cell {
    std::uint32_t peer;
    std::uint16_t service;
    std::uint32_t first_term;
  };
  std::vector<Cell> cells;
  std::vector<policy_term> terms;
  // Names by index, as events carry them; shared, as events of older policies need them too.
  std::shared_ptr<const std::vector<std::string>> rules;
  std::optional<std::int64_t> changes_ns;  // when the next rule expires, CLOCK_REALTIME
  bool about_host = false;                 // the host's addresses matter
};

// Error where the policy needs more than the kernel's maps hold.
Result<CompiledPolicy> compile(const Policy& policy, const Surroundings& surroundings = {});

}  // namespace trivet::network
