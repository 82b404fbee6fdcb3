// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <memory>

#include "newest_rows.h"
#include "trivet/records/alert.h"
#include "trivet/records/flow.h"
#include "trivet/records/http_request.h"

using namespace trivet;

namespace {

// A test of one column.
FilterClause clause(const std::string& column, std::vector<std::string> values,
                    bool negated = false) {
  return {{{{column, std::move(values)}}}, negated};
}

struct Flows {
  Tables tables{{1000, 1 << 20}};

  void add(std::uint32_t pid, const char* peer, std::uint16_t port, const char* verdict) {
    auto flow = std::make_shared<Flow>();
    flow->time.boot_ns = pid;
    flow->pid = pid;
    flow->peer_address = *IpAddress::parse(peer);
    flow->peer_port = port;
    flow->verdict = verdict;
    tables.append(Flow::schema(), std::move(flow));
  }

  // The pids of what passes.
  std::vector<std::uint32_t> passing(const RecordWish& wish, std::size_t limit = 100) const {
    const auto* schema = &Flow::schema();
    const auto filter = RecordFilter::create(wish, {&schema, 1});
    REQUIRE(filter);
    std::vector<std::uint32_t> pids;
    for (const auto& row : newest(tables, {"flows"}, limit, *filter))
      pids.push_back(static_cast<const Flow*>(row.record().get())->pid);
    return pids;
  }

  std::string refused(const RecordWish& wish) const {
    const auto* schema = &Flow::schema();
    const auto filter = RecordFilter::create(wish, {&schema, 1});
    return filter ? "" : filter.error().message;
  }
};

using Pids = std::vector<std::uint32_t>;

// Four of them.
void add_some(Flows& flows) {
  flows.add(1, "10.1.2.3", 22, "DROPPED");
  flows.add(2, "10.200.0.1", 443, "FORWARDED");
  flows.add(3, "2001:db8::1", 443, "DROPPED");
  flows.add(4, "192.0.2.1", 8080, "AUDIT");
}

}  // namespace

TEST_CASE("columns are tested as their types are") {
  Flows flows;
  add_some(flows);
  struct {
    FilterClause clause;
    Pids pids;
  } const rows[] = {
      {clause("verdict", {"DROPPED"}), {1, 3}},
      {clause("verdict", {"DROPPED", "AUDIT"}), {1, 3, 4}},
      {clause("verdict", {"DROPPED"}, true), {2, 4}},
      {clause("verdict", {"*ED"}), {1, 2, 3}},
      {clause("verdict", {"?UD?T"}), {4}},
      {clause("verdict", {"dropped"}), {}},
      {clause("peer_address", {"10.0.0.0/8"}), {1, 2}},
      {clause("peer_address", {"10.1.0.0/15"}), {1}},
      {clause("peer_address", {"0.0.0.0/0"}), {1, 2, 4}},
      {clause("peer_address", {"2001:db8::/33"}), {3}},
      {clause("peer_address", {"192.0.2.1", "2001:db8::1"}), {3, 4}},
      {clause("peer_port", {"443"}), {2, 3}},
      {clause("peer_port", {"23-500"}), {2, 3}},
      {clause("peer_port", {"444-"}), {4}},
      {clause("peer_port", {"-22", "8080"}), {1, 4}},
      {clause("uid", {""}), {1, 2, 3, 4}},  // no value
      {clause("local_address", {""}, true), {}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.clause.alternatives[0][0].column);
    CAPTURE(row.clause.alternatives[0][0].values[0]);
    CHECK(flows.passing({{row.clause}}) == row.pids);
  }
}

TEST_CASE("all clauses must hold, and the newest that pass are found behind others") {
  Flows flows;
  add_some(flows);
  CHECK(flows.passing({{clause("verdict", {"DROPPED"}), clause("peer_port", {"443"})}}) == Pids{3});
  for (std::uint32_t pid = 10; pid < 500; ++pid) flows.add(pid, "127.0.0.1", 80, "FORWARDED");
  CHECK(flows.passing({{clause("verdict", {"DROPPED"})}}, 1) == Pids{3});
  CHECK(flows.passing({{clause("pid", {"1-400"})}}, 2) == Pids{399, 400});
}

TEST_CASE("records may be of a span of time") {
  Flows flows;
  add_some(flows);  // at 1 to 4 ns since boot, which is 1970 here
  CHECK(flows.passing({{}, 2, 3}) == Pids{2, 3});
  CHECK(flows.passing({{}, 4, {}}) == Pids{4});
}

TEST_CASE("a wrong test is refused with a sentence") {
  const Flows flows;
  struct {
    FilterClause clause;
    const char* sentence;
  } const rows[] = {
      {clause("verdikt", {"x"}),
       R"(no column of flows is named "verdikt": did you mean "verdict"?)"},
      {clause("peer_port", {"http"}),
       R"(column peer_port cannot be "http": write a number, or a range such as 400-499 or 500-)"},
      {clause("peer_port", {"500-400"}),
       R"(column peer_port cannot be "500-400": write a number, or a range such as 400-499 or 500-)"},
      {clause("peer_address", {"10.0.0.0/33"}),
       R"(column peer_address cannot be "10.0.0.0/33": write a network such as 10.0.0.0/8)"},
      {clause("peer_address", {"localhost"}),
       R"(column peer_address cannot be "localhost": write an address, or a network such as 10.0.0.0/8)"},
      {clause("first_seen", {"1"}), "column first_seen cannot be tested: ask trivet query"},
  };
  for (const auto& row : rows) CHECK(flows.refused({{row.clause}}) == row.sentence);
}

TEST_CASE("a table without the column has no row that passes") {
  Tables tables({100, 1 << 20});
  tables.append(Flow::schema(), std::make_shared<Flow>());
  auto request = std::make_shared<HttpRequest>();
  request->latency = Duration{25'000'000};
  tables.append(HttpRequest::schema(), std::move(request));
  const RecordSchema* schemas[] = {&Flow::schema(), &HttpRequest::schema()};
  for (const char* latency : {"20ms-30ms", "25ms", "0.02s-", "-1s"}) {
    CAPTURE(latency);
    const auto filter = RecordFilter::create({{clause("latency", {latency})}}, schemas);
    REQUIRE(filter);
    const auto rows = newest(tables, {"flows", "http_requests"}, 10, *filter);
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].schema().table == "http_requests");
  }
}

TEST_CASE("patterns match as shells have them, in bounded time") {
  struct {
    const char *pattern, *text;
    bool matches;
  } const rows[] = {{"", "", true},          {"*", "", true},
                    {"?", "", false},        {"a*c", "abbc", true},
                    {"a*c", "abbcd", false}, {"*.service", "nginx.service", true},
                    {"**a*", "bab", true},   {"a?c", "abc", true},
                    {"a?c", "ac", false},    {"*aab", "aaaaab", true}};
  for (const auto& row : rows) {
    CAPTURE(row.pattern);
    CHECK(matches_pattern(row.pattern, row.text) == row.matches);
  }
  CHECK_FALSE(matches_pattern(std::string(63, '*') + "a*a*a*a*b", std::string(100'000, 'a')));
}
