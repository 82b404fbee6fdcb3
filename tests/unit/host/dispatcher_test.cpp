// SPDX-License-Identifier: Apache-2.0
#include "daemon/dispatcher.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <future>
#include <new>
#include <set>
#include <string>

#include "core/lifecycle.h"
#include "log/stream_log.h"
#include "metrics/registry.h"

namespace trivet {
namespace {

// A plugin that takes fork events, and takes its time.
class Slow final : public Plugin {
 public:
  explicit Slow(std::shared_future<void> release) : release_(std::move(release)) {}
  Result<void> configure(const Config&) override { return {}; }
  std::vector<ObjectSpec> objects() const override { return {}; }
  Result<void> start(Host& host) override {
    host.on<process_fork_event>([this](const Event<process_fork_event>& event) {
      release_.wait();
      seen.push_back(event.data.header.sequence);
      sockets.insert(event.data.header.socket_cookie);
      if (event.parent) parents.push_back(event.parent->name);
    });
    return {};
  }
  void stop() noexcept override {}
  std::vector<std::uint64_t> seen;
  std::set<std::uint64_t> sockets;
  std::vector<std::string> parents;

 private:
  std::shared_future<void> release_;
};

// A megabyte of events in that lane, of 64 sockets in turn.
lanes::Batch megabyte(lane of, std::uint64_t& sequence) {
  lanes::Batch batch;
  while (batch.bytes() < 1 << 20) {
    alignas(8) std::array<std::byte, 4096> record{};
    auto& event = *new (record.data()) process_fork_event{};
    event.header.size = static_cast<std::uint32_t>(record.size());
    event.header.type = process_fork_event_id;
    event.header.version = process_fork_event_version;
    event.header.lane = static_cast<std::uint8_t>(of);
    event.header.time_ns = event.header.sequence = sequence;
    event.header.socket_cookie = 1 + sequence % 64;
    sequence++;
    batch.add(record);
  }
  return batch;
}

struct Outcome {
  std::uint64_t offered = 0;
  std::uint64_t dropped = 0;
  std::vector<std::uint64_t> seen;
  std::size_t sockets = 0;
  bool room = false;  // for more, at the end
};

// What becomes of 80 MB that come while the plugin takes nothing, and of 1 MB after that.
Outcome overload(QueuePolicy policy, lane of) {
  HostFacts facts("");
  broker::Client client{UniqueFd()};
  StreamLog log(2, LogLevel::error, false);
  Registry registry(100);
  const HostServices services{client, facts, log,
                              [](const RecordSchema&, std::shared_ptr<const void>) {}};
  PluginHost host("slow", services);
  host.set_queue_policy(policy);
  std::promise<void> release;
  auto plugin = std::make_unique<Slow>(release.get_future().share());
  Slow& slow = *plugin;
  REQUIRE(host.start(std::move(plugin), registry.scope()));
  Dispatcher dispatcher(facts, {&host});
  Outcome outcome;
  for (int i = 0; i < 80; i++) {
    if (dispatcher.room(of) < 2 << 20) break;
    dispatcher.dispatch(megabyte(of, outcome.offered));
  }
  outcome.room = dispatcher.room(of) >= 2 << 20;
  release.set_value();
  host.adopt(slow);  // comes after all that waits
  outcome.seen = slow.seen;
  outcome.sockets = slow.sockets.size();
  outcome.dropped = host.dropped_events(of, process_fork_event_id);
  host.stop();
  return outcome;
}

TEST_CASE("every event that a plugin wanted has reached it or is counted, whatever the policy") {
  for (const auto policy : {QueuePolicy::drop_newest, QueuePolicy::drop_oldest, QueuePolicy::sample,
                            QueuePolicy::wait}) {
    const auto outcome = overload(policy, LANE_BULK);
    CAPTURE(static_cast<int>(policy));
    CHECK(outcome.seen.size() + outcome.dropped == outcome.offered);
    CHECK(std::is_sorted(outcome.seen.begin(), outcome.seen.end()));
    const bool has_last = !outcome.seen.empty() && outcome.seen.back() == outcome.offered - 1;
    switch (policy) {
      case QueuePolicy::drop_newest:
        CHECK(outcome.dropped > 0);
        CHECK_FALSE(has_last);
        break;
      case QueuePolicy::drop_oldest:
        CHECK(outcome.dropped > 0);
        CHECK(has_last);
        break;
      case QueuePolicy::sample:
        CHECK(outcome.dropped > 0);
        CHECK(outcome.sockets == 64);
        break;
      case QueuePolicy::wait:
        CHECK(outcome.dropped == 0);
        CHECK_FALSE(outcome.room);
        break;
    }
  }
}

template <class E>
E event_of(std::uint32_t tgid, std::uint32_t exec_count, std::uint64_t time_ns) {
  E event{};
  event.header.size = sizeof(event);
  event.header.type = EventTraits<E>::id;
  event.header.version = EventTraits<E>::version;
  event.header.lane = LANE_LIFECYCLE;
  event.header.time_ns = time_ns;
  event.header.task = {1000, tgid, exec_count};
  return event;
}

TEST_CASE(
    "an event's parent is the image that it was then, not the one when the plugin comes to it") {
  HostFacts facts("");
  broker::Client client{UniqueFd()};
  StreamLog log(2, LogLevel::error, false);
  Registry registry(100);
  const HostServices services{client, facts, log,
                              [](const RecordSchema&, std::shared_ptr<const void>) {}};
  PluginHost host("slow", services);
  std::promise<void> release;
  auto plugin = std::make_unique<Slow>(release.get_future().share());
  Slow& slow = *plugin;
  REQUIRE(host.start(std::move(plugin), registry.scope()));
  Dispatcher dispatcher(facts, {&host});

  lanes::Batch batch;
  auto before = event_of<process_exec_event>(10, 0, 1);
  std::strcpy(before.comm, "before");
  auto child = event_of<process_fork_event>(11, 0, 2);
  child.parent = before.header.task;
  auto after = event_of<process_exec_event>(10, 1, 3);
  std::strcpy(after.comm, "after");
  batch.add(std::as_bytes(std::span(&before, 1)));
  batch.add(std::as_bytes(std::span(&child, 1)));
  batch.add(std::as_bytes(std::span(&after, 1)));
  dispatcher.dispatch(std::move(batch));
  CHECK(facts.process(std::uint32_t{10})->name == "after");
  release.set_value();
  host.adopt(slow);
  CHECK(slow.parents == std::vector<std::string>{"before"});
  host.stop();
}

TEST_CASE("alerts and lifecycle events know no policy: the newest goes, and nobody waits") {
  for (const lane of : {LANE_ALERT, LANE_LIFECYCLE}) {
    const auto outcome = overload(QueuePolicy::wait, of);
    CHECK(outcome.dropped > 0);
    CHECK(outcome.seen.size() + outcome.dropped == outcome.offered);
    CHECK(outcome.room);
  }
}

}  // namespace
}  // namespace trivet
