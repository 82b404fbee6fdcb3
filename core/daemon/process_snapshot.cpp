// SPDX-License-Identifier: Apache-2.0
#include "daemon/process_snapshot.h"

#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <span>
#include <utility>

#include "core/lifecycle.h"
#include "daemon/lifecycle_object.h"
#include "trivet/host.h"

namespace trivet {

namespace {

// read() hands over whole records only; the longest is well below this.
constexpr std::size_t kBuffer = 256 << 10;

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

Result<ProcessSnapshot> ProcessSnapshot::take(broker::Client& broker, std::uint32_t lifecycle) {
  ProcessSnapshot snapshot;
  snapshot.begun_ns_ = boot_now_ns();
  auto pass = broker.iterate(lifecycle, kSnapshotProgram);
  if (!pass) return pass.error();
  std::vector<std::byte> buffer(kBuffer);
  std::size_t filled = 0;
  for (;;) {
    const auto got = read(pass->get(), buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return system_error(errno, "cannot read the processes that run");
    if (got == 0) return snapshot;
    filled += static_cast<std::size_t>(got);
    std::size_t used = 0;
    while (filled - used >= sizeof(event_header)) {
      event_header header;
      std::memcpy(&header, &buffer[used], sizeof(header));
      if (header.size < sizeof(event_header) || header.size > buffer.size())
        return Error{"the iterator of processes wrote a record of a wrong size"};
      if (header.size > filled - used) break;
      const std::size_t place = (snapshot.bytes_.size() + 7) & ~std::size_t{7};
      snapshot.bytes_.resize(place + header.size);
      std::memcpy(&snapshot.bytes_[place], &buffer[used], header.size);
      snapshot.records_.push_back(place);
      used += header.size;
    }
    std::memmove(buffer.data(), &buffer[used], filled - used);
    filled -= used;
  }
}

void ProcessSnapshot::apply(HostFacts& facts) const {
  for (const std::size_t place : records_) {
    const auto& header = *reinterpret_cast<const event_header*>(&bytes_[place]);
    facts.apply({&bytes_[place], header.size});
  }
}

void ProcessSnapshot::reconcile(HostFacts& facts) const {
  apply(facts);
  std::set<Identity> running;
  for (const std::size_t place : records_)
    running.insert(identity(task_key(reinterpret_cast<const event_header*>(&bytes_[place])->task)));
  facts.each_process([&](const ProcessRef& process) {
    const TaskKey& key = process->key;
    if (key.start_ns >= begun_ns_ || running.contains(identity(key))) return;
    process_exit_event gone{};
    gone.header.size = sizeof(gone);
    gone.header.type = process_exit_event_id;
    gone.header.version = process_exit_event_version;
    gone.header.lane = LANE_LIFECYCLE;
    gone.header.time_ns = begun_ns_;
    gone.header.task = {key.start_ns, key.tgid, key.exec_count};
    facts.apply(std::as_bytes(std::span(&gone, 1)));
  });
}

}  // namespace trivet
