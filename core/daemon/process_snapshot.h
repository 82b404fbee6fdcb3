// SPDX-License-Identifier: Apache-2.0
// All processes at one moment, as the kernel's task iterator tells them: for host facts at the
// start, and when lifecycle events were lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "broker/client.h"
#include "facts/host_facts.h"
#include "trivet/result.h"

namespace trivet {

class ProcessSnapshot {
 public:
  // `lifecycle` is the handle of the core's lifecycle object. Waits for the kernel.
  static Result<ProcessSnapshot> take(broker::Client& broker, std::uint32_t lifecycle);

  // Tells the facts of every process in it. Reader thread, or before there is one.
  void apply(HostFacts& facts) const;
  // The same; then those that the facts believe to be living, and that started before the snapshot
  // but are not in it, have exited.
  void reconcile(HostFacts& facts) const;

 private:
  std::uint64_t begun_ns_ = 0;  // CLOCK_BOOTTIME
  std::vector<std::byte> bytes_;
  std::vector<std::size_t> records_;  // offsets of whole records in bytes_, aligned to 8
};

}  // namespace trivet
