// SPDX-License-Identifier: Apache-2.0
// Classes of services: all ports, ICMP types and protocols of a class lie in the same lists of
// services. What the kernel's pages give. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "network/address_range.h"
#include "network/policy.h"
#include "trivet/result.h"

namespace trivet::network {

// What one or more rules say of services.
struct ServiceList {
  flow_direction direction = FLOW_EGRESS;
  std::vector<Service> services;  // none: all
  bool refuses = false;  // any port counts where a packet has no ports to show; else all ports must
  auto operator<=>(const ServiceList&) const = default;
};

struct ServiceClasses {
  // Of one slot, by POLICY_PAGE(0, direction, page).
  std::vector<policy_page> pages;
  // By class: the lists that its services lie in, as indexes, sorted; without those of all
  // services.
  std::vector<std::vector<std::uint32_t>> members;
  // By class.
  std::vector<flow_direction> directions;
};

Result<ServiceClasses> classify(const std::vector<ServiceList>& lists);

}  // namespace trivet::network
