// SPDX-License-Identifier: Apache-2.0
// Names of addresses, by this host's own resolver.
#include "security/address_names.h"

#include <doctest/doctest.h>

#include "judge.h"

namespace trivet::security {
namespace {

TEST_CASE("an address has those of the names that the resolver gives it") {
  AddressNames names({"localhost", "no-such-host.invalid"});
  const auto local = *IpAddress::parse("127.0.0.1");
  for (int i = 0; i < 1000 && names.of(local).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(names.of(local) == std::vector<std::string>{"localhost"});
  CHECK(names.of(*IpAddress::parse("203.0.113.7")).empty());
}

TEST_CASE("the names are those that conditions compare with") {
  Definitions none;
  FilterGraph graph;
  Compiler compiler(none, graph);
  for (const char* condition :
       {"fd.sip.name = b.example and fd.name = c.example", "not fd.rip.name in (a.example)"}) {
    REQUIRE(std::holds_alternative<NodeId>(compiler.condition(Judge::source(condition))));
  }
  CHECK(host_names(graph) == std::vector<std::string>{"a.example", "b.example"});
}

}  // namespace
}  // namespace trivet::security
