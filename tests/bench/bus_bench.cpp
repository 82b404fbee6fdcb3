// SPDX-License-Identifier: Apache-2.0
// What the way from a ring to a plugin's handler costs, and how long an alert takes on it. As root.
// Full runs and runs of the reader alone alternate, so that what else the machine does hits both.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>
#include <vector>

#include "broker/broker.h"
#include "bus/worker.h"
#include "daemon/dispatcher.h"
#include "daemon/plugin_host.h"
#include "facts/host_facts.h"
#include "flood/flood.h"
#include "lanes/reader.h"
#include "log/stream_log.h"
#include "metrics/registry.h"

using namespace trivet;

namespace {

constexpr int kRounds = 15;
// As many 112-byte records as the bulk lane holds; of sixteen asked for, fifteen are sent.
constexpr std::uint32_t kEvents = 280'000;
constexpr int kAlerts = 1000;

std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void flood(unsigned lane, std::uint32_t count) {
  ::syscall(SYS_getpgid, FLOOD_ORDER(lane, count));
}

double at(std::vector<double>& values, double part) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
}

// A consumer that looks at each event and no more.
class Counter final : public Plugin {
 public:
  Result<void> configure(const Config&) override { return {}; }
  std::vector<ObjectSpec> objects() const override { return {}; }
  Result<void> start(Host& host) override {
    host.on<flood_event>([this](const Event<flood_event>& event) {
      sum_ += event.data.index + (event.process != nullptr);
      if (event.data.header.lane == LANE_ALERT)
        latencies_us.push_back(
            static_cast<double>(clock_ns(CLOCK_BOOTTIME) - event.data.header.time_ns) / 1e3);
      seen.store(seen.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    });
    return {};
  }
  void stop() noexcept override {}

  std::atomic<std::uint64_t> seen = 0;
  std::vector<double> latencies_us;  // of alerts; read when none is under way

 private:
  std::uint64_t sum_ = 0;
};

struct Cost {
  std::vector<double> wall_ns, cpu_ns;  // for each event
  void print(const char* what) {
    const double wall = at(wall_ns, 0.5), cpu = at(cpu_ns, 0.5);
    std::printf(
        "%-28s %6.1f ns/event, %5.2f M events/s; %6.1f ns CPU, %5.2f M events/s a core, "
        "%.3f CPU s per million\n",
        what, wall, 1e3 / wall, cpu, 1e3 / cpu, cpu / 1e3);
  }
};

// How long `drain` takes for what the kernel has put into the ring before.
void measure(Cost& cost, const std::function<std::uint64_t()>& drain) {
  flood(LANE_BULK, kEvents);
  const auto wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  const auto count = static_cast<double>(drain());
  cost.wall_ns.push_back(static_cast<double>(clock_ns(CLOCK_MONOTONIC) - wall) / count);
  cost.cpu_ns.push_back(static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / count);
}

void print_latency(const char* what, std::vector<double>& us) {
  if (us.empty()) return;
  std::printf("%-28s p50 %.0f us, p99 %.0f us, max %.0f us (%zu of %d alerts)\n", what, at(us, 0.5),
              at(us, 0.99), at(us, 1), us.size(), kAlerts);
  us.clear();
}

int bench(broker::Client& client) {
  const auto object =
      client.load("core", ObjectSpec{"flood", {{"flood", {{"tp_btf", {"flood"}}}}}});
  auto maps = client.lanes();
  if (!object || !maps) {
    std::fprintf(stderr, "%s\n", (object ? maps.error() : object.error()).to_string().c_str());
    return 1;
  }
  HostFacts facts("");
  StreamLog log(STDERR_FILENO, LogLevel::info, false);
  Registry registry(1000);
  const HostServices services{client, facts, log,
                              [](const RecordSchema&, std::shared_ptr<const void>) {}};
  PluginHost host("counter", services);
  auto plugin = std::make_unique<Counter>();
  Counter& counter = *plugin;
  if (!host.start(std::move(plugin), registry.scope())) return 1;
  Dispatcher dispatcher(facts, {&host});
  bool whole = true;
  std::uint64_t read = 0;
  auto reader = lanes::LaneReader::create(std::move(*maps), [&](lanes::Batch&& batch) {
    read += batch.size();
    if (whole) dispatcher.dispatch(std::move(batch));
  });
  if (!reader) return 1;

  const auto drain = [&] {
    const auto read_before = read;
    const auto seen_before = counter.seen.load();
    while ((*reader)->read_round() > 0) {
    }
    if (whole)
      while (counter.seen.load(std::memory_order_acquire) - seen_before < read - read_before)
        ::usleep(50);
    return read - read_before;
  };
  Cost full, alone;
  for (int i = 0; i < kRounds; i++) {
    whole = true;
    measure(full, drain);
    whole = false;
    measure(alone, drain);
  }
  full.print("ring to handler");
  alone.print("ring to batch");
  whole = true;

  std::vector<double> produce;
  for (int i = 0; i < kRounds; i++) {
    const auto start = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    flood(LANE_BULK, kEvents);
    produce.push_back(static_cast<double>(clock_ns(CLOCK_THREAD_CPUTIME_ID) - start) / kEvents);
    drain();
  }
  std::printf("%-28s %6.1f ns/event\n", "hook to ring", at(produce, 0.5));

  {
    std::jthread reading([&](std::stop_token stop) { (*reader)->run(stop); });
    const auto alerts = [] {
      for (int i = 0; i < kAlerts; i++) {
        flood(LANE_ALERT, 1);
        ::usleep(1000 + i % 7 * 300);
      }
      ::usleep(200'000);
    };
    alerts();
    host.facts();
    print_latency("alert, idle", counter.latencies_us);
    std::jthread flooding([](std::stop_token stop) {
      while (!stop.stop_requested()) flood(LANE_BULK, 1000);
    });
    alerts();
    flooding.request_stop();
    flooding.join();
    ::usleep(500'000);
    print_latency("alert, under a bulk flood", counter.latencies_us);
  }
  std::uint64_t offered = 0, lost = 0;
  const auto accounts = (*reader)->accounts(LANE_BULK);
  for (const auto& of : *accounts) {
    offered += of.kernel.offered - of.kernel.filtered;
    lost += of.kernel.ring_full;
  }
  std::printf("%-28s %.1f M offered, %.1f %% lost in the kernel, %llu in the queue\n", "bulk",
              static_cast<double>(offered) / 1e6,
              100.0 * static_cast<double>(lost) / static_cast<double>(offered),
              static_cast<unsigned long long>(host.dropped_events(LANE_BULK, flood_event_id)));
  host.stop();
  return 0;
}

}  // namespace

int main() {
  if (::geteuid() != 0) {
    std::fputs("needs root\n", stderr);
    return 77;
  }
  broker::BrokerOptions options;
  options.plugin_directory = "/nonexistent";
  options.confined = false;
  const auto status = broker::launch(options, bench);
  if (!status) std::fprintf(stderr, "%s\n", status.error().to_string().c_str());
  return status ? *status : 1;
}
