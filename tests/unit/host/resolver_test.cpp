// SPDX-License-Identifier: Apache-2.0
// Names of addresses, by this host's own resolver.
#include "facts/resolver.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

namespace trivet {
namespace {

TEST_CASE("an address has those of the names that the resolver gives it") {
  Resolver names({"localhost", "no-such-host.invalid"});
  const auto local = *IpAddress::parse("127.0.0.1");
  for (int i = 0; i < 1000 && names.of(local).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(names.of(local) == std::vector<std::string>{"localhost"});
  CHECK(names.of(*IpAddress::parse("203.0.113.7")).empty());
}

}  // namespace
}  // namespace trivet
