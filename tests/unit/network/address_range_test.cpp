// SPDX-License-Identifier: Apache-2.0
#include "network/address_range.h"

#include <doctest/doctest.h>

#include <string>

#include "trivet/value.h"

using namespace trivet;
using namespace trivet::network;

namespace {

std::string shown(const AddressRange& range) {
  return IpAddress::v6(range.address.data()).to_string() + " " + std::to_string(range.prefix);
}

}  // namespace

TEST_CASE("An address range is read as its address and its prefix of 128 bits") {
  const std::pair<const char*, const char*> cases[] = {
      {"10.0.0.0/8", "10.0.0.0 104"},
      {"192.0.2.7", "192.0.2.7 128"},
      {"0.0.0.0/0", "0.0.0.0 96"},
      {"2001:db8::/32", "2001:db8:: 32"},
      {"::1", "::1 128"},
      {"::/0", ":: 0"},
      {"203.0.113.128/25", "203.0.113.128 121"},
      {"::ffff:192.0.2.0/120", "192.0.2.0 120"},
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto range = parse_address_range(text);
    REQUIRE(range);
    CHECK(shown(*range) == expected);
  }
}

TEST_CASE("A bad address range is refused with what to write instead") {
  const std::pair<const char*, const char*> cases[] = {
      {"10.0.0.1/33", "takes 0 to 32"},
      {"2001:db8::/129", "takes 0 to 128"},
      {"10.0.0.1/8", "write 10.0.0.0/8 for the whole range"},
      {"2001:db8::1/32", "write 2001:db8::/32 for the whole range"},
      {"10.0.0.0/", "takes 0 to 32"},
      {"10.0.0.0/-1", "takes 0 to 32"},
      {"10.0.0.0/8/8", "takes 0 to 32"},
      {"10.0.0/8", "is not an address range"},
      {"localhost", "is not an address range"},
      {"", "is not an address range"},
      {"::ffff:192.0.2.1/120", "has address bits behind its prefix"},
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto range = parse_address_range(text);
    REQUIRE_FALSE(range);
    CAPTURE(range.error().message);
    CHECK(range.error().message.find(expected) != std::string::npos);
  }
}

TEST_CASE("A service is read as its protocol and its ports") {
  const std::pair<const char*, Service> cases[] = {
      {"tcp/443", {6, 443, 443}},
      {"udp/53", {17, 53, 53}},
      {"tcp/8000-8099", {6, 8000, 8099}},
      {"tcp", {6, 0, 65535}},
      {"any", {0, 0, 65535}},
      {"tcp/1-65535", {6, 1, 65535}},
      {"icmp/echo-request", {1, 8, 8}},
      {"icmpv6/echo-request", {58, 128, 128}},
      {"icmp/255", {1, 255, 255}},
      {"icmp", {1, 0, 65535}},
      {"ip/132", {132, 0, 65535}},
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto service = parse_service(text);
    REQUIRE(service);
    CHECK(*service == expected);
  }
}

TEST_CASE("A bad service is refused with what to write instead") {
  const std::pair<const char*, const char*> cases[] = {
      {"tcp/0", "has a bad port"},         {"tcp/65536", "has a bad port"},
      {"tcp/https", "has a bad port"},     {"tcp/", "has a bad port"},
      {"tcp/80-", "has a bad port"},       {"tcp/90-80", "the wrong way round"},
      {"sctp/1", "names no protocol"},     {"443", "names no protocol"},
      {"any/80", "names no protocol"},     {"", "names no protocol"},
      {"tcp/80 ", "has a bad port"},       {"TCP/80", "names no protocol"},
      {"icmp/256", "has an unknown type"}, {"icmpv6/timestamp-request", "has an unknown type"},
      {"ip/255", "names no protocol"},     {"ip", "names no protocol"},
  };
  for (const auto& [text, expected] : cases) {
    CAPTURE(text);
    const auto service = parse_service(text);
    REQUIRE_FALSE(service);
    CHECK(service.error().message.find(expected) != std::string::npos);
  }
}
