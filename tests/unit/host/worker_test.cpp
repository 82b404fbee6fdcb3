// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "bus/worker.h"

namespace trivet {
namespace {

using namespace std::chrono_literals;

TEST_CASE("tasks run on the worker's own thread in the order in which they came") {
  Worker worker("test");
  std::vector<int> order;
  std::thread::id thread;
  for (int i = 0; i < 100; ++i) worker.post([&, i] { order.push_back(i); });
  CHECK(worker.run([&] { thread = std::this_thread::get_id(); }));
  CHECK(thread != std::this_thread::get_id());
  REQUIRE(order.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("waiting events weigh on their own lane until they have been taken") {
  Worker worker("test");
  std::promise<void> release;
  worker.post([&] { release.get_future().wait(); });
  Worker::Load load;
  load.bytes[LANE_BULK] = 1000;
  load.run = [] {};
  worker.offer(load);
  worker.offer(load);
  CHECK(worker.queued_bytes(LANE_BULK) == 2000);
  CHECK(worker.queued_bytes(LANE_ALERT) == 0);
  release.set_value();
  worker.run([] {});
  CHECK(worker.queued_bytes(LANE_BULK) == 0);
}

TEST_CASE("the oldest of a full lane make room for the newest, and no other lane's do") {
  Worker worker("test");
  std::promise<void> release;
  worker.post([&] { release.get_future().wait(); });
  std::vector<int> ran, dropped;
  for (int i = 0; i < 8; ++i) {
    Worker::Load load;
    load.bytes[LANE_BULK] = Worker::kMaxLaneBytes / 8;
    load.bytes[LANE_ALERT] = 100;
    load.run = [&, i] { ran.push_back(i); };
    load.drop = [&, i](lane of) {
      CHECK(of == LANE_BULK);
      dropped.push_back(i);
    };
    worker.offer(load);
  }
  worker.make_room(LANE_BULK, Worker::kMaxLaneBytes / 8 + 1);
  CHECK(dropped == std::vector<int>{0, 1});
  CHECK(worker.queued_bytes(LANE_BULK) == Worker::kMaxLaneBytes / 8 * 6);
  CHECK(worker.queued_bytes(LANE_ALERT) == 800);
  release.set_value();
  worker.run([] {});
  CHECK(ran.size() == 8);
  CHECK(worker.queued_bytes(LANE_BULK) == 0);
}

TEST_CASE("records beyond the limit are refused") {
  Worker worker("test");
  std::promise<void> release;
  worker.post([&] { release.get_future().wait(); });
  std::size_t accepted = 0;
  while (worker.offer_record([] {})) ++accepted;
  CHECK(accepted == Worker::kMaxRecords);
  release.set_value();
  worker.run([] {});
  CHECK(worker.offer_record([] {}));
}

TEST_CASE("timers tick, also one that is added while the worker sleeps until a later one") {
  Worker worker("test");
  std::promise<void> ticked;
  std::atomic<bool> once = false;
  worker.every(1h, [] {});
  std::this_thread::sleep_for(5ms);
  worker.every(1ms, [&] {
    if (!once.exchange(true)) ticked.set_value();
  });
  CHECK(ticked.get_future().wait_for(10s) == std::future_status::ready);
}

TEST_CASE("clear drops what waits, and whoever waits for it is told") {
  Worker worker("test");
  std::promise<void> entered, release;
  worker.post([&] {
    entered.set_value();
    release.get_future().wait();
  });
  entered.get_future().wait();
  auto waiting = std::async(std::launch::async, [&] { return worker.run([] {}); });
  std::this_thread::sleep_for(20ms);
  std::vector<lane> told;
  Worker::Load load;
  load.bytes[LANE_ALERT] = 3;
  load.run = [] {};
  load.drop = [&](lane of) { told.push_back(of); };
  worker.offer(load);
  worker.offer_record([] {});
  CHECK(worker.clear() == 1);
  CHECK(told == std::vector{LANE_ALERT});
  CHECK_FALSE(waiting.get());
  release.set_value();
  CHECK(worker.run([] {}));
}

}  // namespace
}  // namespace trivet
