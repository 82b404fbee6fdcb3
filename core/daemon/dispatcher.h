// SPDX-License-Identifier: Apache-2.0
// Where events leave the reader: each one passes host facts, then goes to the plugins that want it.
// dispatch() runs on the reader thread; what was dropped may be read from any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "daemon/plugin_host.h"
#include "event.h"
#include "facts/host_facts.h"
#include "lanes/batch.h"

namespace trivet {

class Dispatcher {
 public:
  // Events that found no room in a plugin's queue: [plugin][lane].
  using Dropped = std::vector<std::array<std::uint64_t, LANE_COUNT>>;

  // The hosts outlive the dispatcher.
  Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts);

  void dispatch(lanes::Batch&& batch);

  Dropped dropped() const;

 private:
  using LaneCounts = std::array<std::atomic<std::uint64_t>, LANE_COUNT>;
  // What one plugin gets of the batch at hand.
  struct Share {
    std::vector<PluginHost::Item> items;
    std::array<std::size_t, LANE_COUNT> bytes{};
    std::array<std::size_t, LANE_COUNT> room{};
  };

  HostFacts& facts_;
  const std::vector<PluginHost*> hosts_;
  std::vector<Share> shares_;
  std::vector<LaneCounts> dropped_;
};

}  // namespace trivet
