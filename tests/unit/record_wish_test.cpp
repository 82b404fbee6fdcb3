// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "cli/record_wish.h"

using namespace trivet;

namespace {

constexpr std::int64_t kNow = 1'772'366'400'000'000'000;  // 2026-03-01T12:00:00Z

std::string shown(const RecordWish& wish) {
  std::string text;
  for (const auto& clause : wish.clauses) {
    text += clause.negated ? "!(" : "(";
    for (const auto& tests : clause.alternatives) {
      text += text.ends_with('(') ? "" : " | ";
      for (const auto& test : tests) {
        text += (text.ends_with('(') || text.ends_with("| ") ? "" : " ") + test.column + "=";
        for (std::size_t i = 0; i < test.values.size(); ++i)
          text += (i == 0 ? "" : ",") + test.values[i];
      }
    }
    text += ")";
  }
  return text;
}

std::string wish_of(const std::vector<GivenOption>& given) {
  const auto wish = record_wish(given, kNow);
  return wish ? shown(*wish) : wish.error().message;
}

}  // namespace

TEST_CASE("options become tests of columns as Hubble has them") {
  CHECK(wish_of({{"verdict", {"dropped"}}}) == "(verdict=DROPPED)");
  CHECK(wish_of({{"verdict", {"DROPPED"}}, {"protocol", {"TCP"}}, {"verdict", {"AUDIT"}}}) ==
        "(verdict=DROPPED | verdict=AUDIT)(protocol=tcp)");
  CHECK(wish_of({{"ip", {"10.0.0.0/8"}}}) ==
        "(local_address=10.0.0.0/8 | peer_address=10.0.0.0/8)");
  CHECK(wish_of({{"to-port", {"22"}}}) ==
        "(direction=egress peer_port=22 | direction=ingress local_port=22)");
  CHECK(wish_of({{"not", {}}, {"port", {"22"}}, {"port", {"23"}}}) ==
        "!(local_port=22 | peer_port=22)(local_port=23 | peer_port=23)");
  CHECK(wish_of({{"container", {"4f2a"}}}) == "(container_id=4f2a*)");
}

TEST_CASE("any column can be tested") {
  CHECK(wish_of({{"where", {"status=500-,404"}}}) == "(status=500-,404)");
  CHECK(wish_of({{"where", {"process!=curl"}}, {"where", {"container_id="}}}) ==
        "!(process=curl)(container_id=)");
  CHECK(wish_of({{"not", {}}, {"where", {"process!=curl"}}}) == "(process=curl)");
  CHECK(wish_of({{"where", {"output=a=b"}}}) == "(output=a=b)");
}

TEST_CASE("times are ago or in UTC") {
  const auto wish = record_wish({{"since", {"5m"}}, {"until", {"2026-03-01T12:00:00Z"}}}, kNow);
  REQUIRE(wish);
  CHECK(wish->since_ns == kNow - 300'000'000'000);
  CHECK(wish->until_ns == kNow);
}
