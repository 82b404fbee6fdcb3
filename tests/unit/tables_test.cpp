// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <thread>

#include "newest_rows.h"
#include "records/tables.h"
#include "trivet/records/alert.h"
#include "trivet/records/flow.h"
#include "trivet/records/http_request.h"

using namespace trivet;

namespace {

void add_alert(Tables& tables, std::uint32_t pid, std::size_t output_bytes = 0) {
  auto alert = std::make_shared<Alert>();
  alert->pid = pid;
  alert->output.assign(output_bytes, 'x');
  tables.append(Alert::schema(), std::move(alert));
}

std::vector<std::uint32_t> pids(const std::vector<Row>& rows) {
  std::vector<std::uint32_t> pids;
  for (const auto& row : rows) pids.push_back(static_cast<const Alert*>(row.record().get())->pid);
  return pids;
}

using Pids = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("a table keeps the newest rows within its limit of rows") {
  Tables tables({3, 1 << 20});
  for (std::uint32_t pid = 1; pid <= 5; ++pid) add_alert(tables, pid);
  CHECK(pids(newest(tables, {"alerts"}, 100)) == Pids{3, 4, 5});
  CHECK(pids(newest(tables, {"alerts"}, 2)) == Pids{4, 5});
  REQUIRE(tables.states().size() == 1);
  CHECK(tables.states()[0].rows == 3);
  CHECK(tables.states()[0].appended == 5);
}

TEST_CASE("a table keeps the newest rows within its limit of bytes") {
  Tables tables({1000, 100'000});
  for (std::uint32_t pid = 1; pid <= 100; ++pid) add_alert(tables, pid, 10'000);
  auto rows = newest(tables, {"alerts"}, 1000);
  CHECK(rows.size() >= 5);
  CHECK(rows.size() < 10);
  CHECK(tables.states()[0].bytes <= 100'000);
}

TEST_CASE("a record larger than the whole limit is kept alone") {
  Tables tables({1000, 1000});
  add_alert(tables, 1, 10'000);
  add_alert(tables, 2, 10'000);
  CHECK(pids(newest(tables, {"alerts"}, 10)) == Pids{2});
}

TEST_CASE("requests stand for the requests of every protocol") {
  Tables tables({10, 1 << 20});
  for (const auto* schema : {&Alert::schema(), &Flow::schema(), &HttpRequest::schema()}) {
    tables.declare(*schema);
  }
  CHECK(tables.resolve("requests") == std::vector<std::string>{"http_requests"});
  CHECK(tables.resolve("flows") == std::vector<std::string>{"flows"});
  CHECK(tables.resolve("nothing").empty());
}

TEST_CASE("rows of several tables come in order of arrival") {
  Tables tables({10, 1 << 20});
  add_alert(tables, 1);
  tables.append(Flow::schema(), std::make_shared<Flow>());
  add_alert(tables, 2);
  auto rows = newest(tables, {"alerts", "flows"}, 10);
  REQUIRE(rows.size() == 3);
  CHECK(rows[1].schema().table == "flows");
}

TEST_CASE("a follower gets what was there and what comes, once each") {
  Tables tables({10, 1 << 20});
  for (std::uint32_t pid = 1; pid <= 3; ++pid) add_alert(tables, pid);
  int woken = 0;
  auto follower = tables.follow({"alerts"}, {100, 1 << 20}, 2, [&] { ++woken; });
  add_alert(tables, 4);
  tables.append(Flow::schema(), std::make_shared<Flow>());
  CHECK(woken == 0);  // rows were waiting already
  CHECK(pids(follower->take(100)) == Pids{2, 3, 4});
  add_alert(tables, 5);
  add_alert(tables, 6);
  CHECK(woken == 1);
  CHECK(pids(follower->wait(std::chrono::milliseconds(0), 1)) == Pids{5});
  CHECK(pids(follower->take(100)) == Pids{6});
  CHECK(follower->take_dropped() == 0);
}

TEST_CASE("a slow follower loses the oldest rows, counted, and nobody else does") {
  Tables tables({1000, 1 << 20});
  auto slow = tables.follow({"alerts"}, {10, 1 << 20}, 0);
  auto fast = tables.follow({"alerts"}, {1000, 1 << 20}, 0);
  for (std::uint32_t pid = 1; pid <= 25; ++pid) add_alert(tables, pid);
  CHECK(pids(slow->take(100)) == Pids{16, 17, 18, 19, 20, 21, 22, 23, 24, 25});
  CHECK(slow->take_dropped() == 15);
  CHECK(slow->take_dropped() == 0);
  CHECK(fast->take(100).size() == 25);
  CHECK(tables.dropped() == 15);
}

TEST_CASE("a follower is bounded in bytes too") {
  Tables tables({1000, 1 << 20});
  auto follower = tables.follow({"alerts"}, {1000, 50'000}, 0);
  for (std::uint32_t pid = 1; pid <= 20; ++pid) add_alert(tables, pid, 10'000);
  auto rows = follower->take(1000);
  CHECK(rows.size() < 5);
  CHECK(rows.size() + follower->take_dropped() == 20);
}

TEST_CASE("offered rows are taken or counted as dropped, with writers and readers at once") {
  constexpr std::uint64_t kEach = 5000;
  Tables tables({100, 1 << 20});
  auto follower = tables.follow({"alerts"}, {64, 1 << 20}, 0);
  std::vector<std::thread> writers;
  for (int i = 0; i < 3; ++i) {
    writers.emplace_back([&] {
      for (std::uint32_t n = 0; n < kEach; ++n) add_alert(tables, n);
    });
  }
  std::uint64_t taken = 0, dropped = 0;
  while (taken + dropped < 3 * kEach) {
    taken += follower->wait(std::chrono::milliseconds(100), 16).size();
    dropped += follower->take_dropped();
    newest(tables, {"alerts"}, 5);
  }
  for (auto& writer : writers) writer.join();
  CHECK(taken + dropped == 3 * kEach);
  CHECK(tables.dropped() == dropped);
}
