// SPDX-License-Identifier: Apache-2.0
// Brings host facts back in line with the kernel after lifecycle events were lost. Main thread, but
// for the count.
#pragma once

#include <atomic>
#include <cstdint>

#include "broker/client.h"
#include "facts/host_facts.h"
#include "lanes/reader.h"
#include "trivet/log.h"

namespace trivet {

class FactsResync {
 public:
  // `lifecycle` is the handle of the core's lifecycle object. All outlive this; the reader's thread
  // ends first.
  FactsResync(broker::Client& broker, HostFacts& facts, lanes::LaneReader& reader, Log& log,
              std::uint32_t lifecycle);

  // Takes a snapshot if lifecycle events were lost since the last one, and has the reader reconcile
  // the facts with it. The lifecycle lane waits meanwhile, so that whatever it tells is newer than
  // the snapshot. Call some times a second.
  void check();

  std::uint64_t resyncs() const { return resyncs_; }

 private:
  broker::Client& broker_;
  HostFacts& facts_;
  lanes::LaneReader& reader_;
  Log& log_;
  const std::uint32_t lifecycle_;
  std::uint64_t lost_ = 0;  // up to the last snapshot
  std::atomic<bool> under_way_ = false;
  std::atomic<std::uint64_t> resyncs_ = 0;
};

}  // namespace trivet
