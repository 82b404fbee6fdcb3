// SPDX-License-Identifier: Apache-2.0
// Classes of addresses: all addresses of a class lie in the same sets. What the kernel's tries give
// for an address. Pure; any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "network/address_range.h"
#include "network/policy_file.h"
#include "trivet/result.h"

namespace trivet::network {

struct AddressClasses {
  struct Prefix {
    AddressRange range;
    std::uint32_t address_class;
  };
  // The longest prefix around an address has its class; without one it is class 0.
  std::vector<Prefix> prefixes;
  // By class: the sets that its addresses lie in, as indexes, sorted. None lie in class 0's.
  std::vector<std::vector<std::uint32_t>> members;
};

// `host` are this host's own addresses. Error where there are more prefixes or classes than fit.
Result<AddressClasses> classify(const std::vector<AddressSet>& sets,
                                const std::vector<AddressRange>& host);

}  // namespace trivet::network
