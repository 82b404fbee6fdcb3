// SPDX-License-Identifier: Apache-2.0
// docs/rules.md tells the language as the tables of the code have it.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "security/rules/definitions.h"
#include "security/rules/operators.h"
#include "security/rules/transformer.h"

namespace trivet::security {
namespace {

TEST_CASE("the page on rules has every operator, modifier and transformer with its meaning") {
  std::ifstream stream("docs/rules.md");
  const std::string page(std::istreambuf_iterator<char>(stream), {});
  REQUIRE_FALSE(page.empty());
  auto has = [&](std::string_view name, std::string_view meaning) {
    std::string row = "| `" + std::string(name) + "` | " + std::string(meaning) + " |\n";
    CAPTURE(row);
    CHECK(page.find(row) != page.npos);
  };
  for (const auto& info : operators()) has(info.name, info.meaning);
  for (const auto& info : modifiers()) has(info.name, info.meaning);
  for (const auto& transformer : transformers()) has(transformer.usage, transformer.meaning);
  CHECK(page.find("(up to " + std::string(kEngineVersion) + ")") != page.npos);
}

}  // namespace
}  // namespace trivet::security
