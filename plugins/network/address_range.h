// SPDX-License-Identifier: Apache-2.0
// What a policy says of peers and services, as text and as numbers: "10.0.0.0/8", "tcp/8000-8099".
// Pure functions and values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "trivet/result.h"

namespace trivet::network {

// A CIDR block. IPv4 lies in ::ffff:0:0/96, as in the kernel; prefix counts of 128 bits. A range
// without a family is every address.
struct AddressRange {
  std::array<std::uint8_t, 16> address{};
  std::uint8_t prefix = 0;
  std::uint8_t family = 0;  // 4, 6
  auto operator<=>(const AddressRange&) const = default;
};

// "10.0.0.0/8", "192.0.2.7", "2001:db8::/32". Errors say what to write instead.
Result<AddressRange> parse_address_range(std::string_view text);

// A protocol and the service's ports, both ends included. protocol 0 is any, with all ports. Of
// ICMP the port is the type; other protocols have none, so always all of them.
struct Service {
  std::uint8_t protocol = 0;
  std::uint16_t low = 0;
  std::uint16_t high = 65535;
  auto operator<=>(const Service&) const = default;
};

// "tcp/443", "udp/53", "tcp/8000-8099", "tcp", "icmp/echo-request", "icmpv6/128", "ip/132", "any".
// Errors say what to write instead.
Result<Service> parse_service(std::string_view text);

}  // namespace trivet::network
