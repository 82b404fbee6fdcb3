// SPDX-License-Identifier: Apache-2.0
#include "daemon/process_snapshot.h"

#include <time.h>

#include <cstring>
#include <set>
#include <span>
#include <utility>

#include "daemon/core_objects.h"
#include "daemon/snapshot.h"
#include "facts/fact_records.h"
#include "facts/proc_process.h"
#include "trivet/host.h"

namespace trivet {

namespace {

std::uint64_t boot_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

using Identity = std::pair<std::uint32_t, std::uint64_t>;
Identity identity(const TaskKey& key) {
  return {key.tgid, key.start_ns};
}

}  // namespace

Result<void> ProcessSnapshot::iterate(broker::Client& broker, std::uint32_t lifecycle) {
  auto pass = broker.iterate(lifecycle, kProcessSnapshot);
  if (!pass) return std::move(pass).error();
  return read_snapshot(pass->get(), "processes that run",
                       [this](std::span<const std::byte> record) {
                         const std::size_t place = (bytes_.size() + 7) & ~std::size_t{7};
                         bytes_.resize(place + record.size());
                         std::memcpy(&bytes_[place], record.data(), record.size());
                         records_.push_back(place);
                       });
}

ProcessSnapshot ProcessSnapshot::take(broker::Client& broker, std::uint32_t lifecycle, Log& log) {
  ProcessSnapshot snapshot;
  snapshot.begun_ns_ = boot_now_ns();
  if (auto done = snapshot.iterate(broker, lifecycle); !done)
    log.warning("processes that run are read from /proc, without working directory and namespaces",
                {{"reason", done.error().to_string()}});
  std::set<std::uint32_t> shown;
  for (const std::size_t place : snapshot.records_) shown.insert(snapshot.header(place).task.tgid);
  for (const auto pid : proc_processes()) {
    if (shown.contains(pid)) continue;
    auto process = proc_process(pid, [&](const TaskKey& task) {
      return broker.process_executable(task.tgid, task.start_ns);
    });
    // One that is newer is told by the hooks, exactly.
    if (process && process->key.start_ns + proc_start_precision_ns() < snapshot.begun_ns_)
      snapshot.others_.push_back(std::move(*process));
  }
  return snapshot;
}

void ProcessSnapshot::apply(HostFacts& facts) const {
  for (const std::size_t place : records_)
    facts.apply_snapshot({&bytes_[place], header(place).size});
  for (const auto& process : others_) facts.adopt(process);
}

void ProcessSnapshot::reconcile(HostFacts& facts) const {
  apply(facts);
  std::set<Identity> running;
  for (const std::size_t place : records_) running.insert(identity(task_key(header(place).task)));
  for (const auto& process : others_)
    if (const auto known = facts.process(process.key.tgid)) running.insert(identity(known->key));
  facts.each_process([&](const ProcessRef& process) {
    const TaskKey& key = process->key;
    if (key.start_ns >= begun_ns_ || running.contains(identity(key))) return;
    facts.apply_snapshot(exit_record(key, begun_ns_));
  });
}

}  // namespace trivet
