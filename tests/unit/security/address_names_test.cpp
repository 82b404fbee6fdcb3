// SPDX-License-Identifier: Apache-2.0
// The host names that rules ask for.
#include "security/address_names.h"

#include <doctest/doctest.h>

#include "judge.h"

namespace trivet::security {
namespace {

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
