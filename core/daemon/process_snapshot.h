// SPDX-License-Identifier: Apache-2.0
// All processes at one moment, as the kernel's task iterator tells them and /proc those that it
// leaves out: for host facts at the start, and when lifecycle events were lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/client.h"
#include "facts/host_facts.h"
#include "trivet/log.h"
#include "trivet/result.h"

namespace trivet {

class ProcessSnapshot {
 public:
  // `lifecycle` is the handle of the core's lifecycle object. Waits for the kernel. Where the
  // iterator is refused the log says so, and all is from /proc.
  static ProcessSnapshot take(broker::Client& broker, std::uint32_t lifecycle, Log& log);

  // Tells the facts of every process in it. Reader thread, or before there is one.
  void apply(HostFacts& facts) const;
  // The same; then those that the facts believe to be living, and that started before the snapshot
  // but are not in it, have exited.
  void reconcile(HostFacts& facts) const;

 private:
  Result<void> iterate(broker::Client& broker, std::uint32_t lifecycle);
  const event_header& header(std::size_t place) const {
    return *reinterpret_cast<const event_header*>(&bytes_[place]);
  }

  std::uint64_t begun_ns_ = 0;  // CLOCK_BOOTTIME
  std::vector<std::byte> bytes_;
  std::vector<std::size_t> records_;  // offsets of whole records in bytes_, aligned to 8
  std::vector<Process> others_;       // those that only /proc tells
};

}  // namespace trivet
