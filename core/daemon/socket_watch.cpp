// SPDX-License-Identifier: Apache-2.0
#include "daemon/socket_watch.h"

#include <time.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "daemon/core_objects.h"
#include "daemon/snapshot.h"

namespace trivet {

namespace {

constexpr std::uint64_t kMinPeriodNs = 30'000'000'000;
// A snapshot walks every open file of every task: it may take a two hundredth of the time at most.
constexpr std::uint64_t kPeriodsPerCost = 200;

std::uint64_t boot_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

Result<std::unique_ptr<SocketWatch>> SocketWatch::start(broker::Client& broker, HostFacts& facts,
                                                        Log& log) {
  auto loaded = broker.load(kCorePlugin, sockets_object());
  if (!loaded) return std::move(loaded).error().within("BPF object core/sockets");
  std::unique_ptr<SocketWatch> watch(new SocketWatch(broker, facts, log, std::move(*loaded)));
  watch->refresh(boot_now_ns());
  return watch;
}

SocketWatch::~SocketWatch() {
  (void)broker_.unload(object_.handle);
}

void SocketWatch::refresh(std::uint64_t now_ns) {
  if (now_ns < next_ns_) return;
  const auto taken = take_snapshot();
  const std::uint64_t cost_ns = boot_now_ns() - now_ns;
  next_ns_ = now_ns + std::max(kMinPeriodNs, kPeriodsPerCost * cost_ns);
  if (taken) return;
  log_.warning(taken.error().to_string());
  // What this kernel refuses once it refuses always.
  next_ns_ = std::numeric_limits<std::uint64_t>::max();
}

Result<void> SocketWatch::take_snapshot() {
  auto pass = broker_.iterate(object_.handle, kSocketSnapshot);
  if (!pass) return std::move(pass).error().within("sockets that are already open stay unknown");
  const std::uint64_t start_ns = boot_now_ns();
  facts_.begin_socket_snapshot();
  auto read = read_snapshot(pass->get(), "open sockets", [this](std::span<const std::byte> record) {
    facts_.apply_snapshot(record);
  });
  if (read) facts_.end_socket_snapshot(start_ns);
  return read;
}

}  // namespace trivet
