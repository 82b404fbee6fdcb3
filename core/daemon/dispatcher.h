// SPDX-License-Identifier: Apache-2.0
// Where events leave the reader: each one passes host facts, then goes to the plugins that want it.
// dispatch() runs on the reader thread; the counts may be read from any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/plugin_host.h"
#include "event.h"
#include "facts/host_facts.h"

namespace trivet {

const char* lane_name(unsigned lane);

class Dispatcher {
 public:
  using Record = std::span<const std::byte>;
  struct Counts {
    std::array<std::uint64_t, LANE_COUNT> delivered;  // events read from the lanes
    // Events that found no room in a plugin's queue: [plugin][lane].
    std::vector<std::array<std::uint64_t, LANE_COUNT>> dropped;
  };

  // The hosts outlive the dispatcher.
  Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts);

  // `events` are whole records in time order with sound headers (size, type, lane); their bytes live
  // as long as `batch`.
  void dispatch(const std::shared_ptr<const void>& batch, std::span<const Record> events);

  Counts counts() const;

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
  LaneCounts delivered_{};
  std::vector<LaneCounts> dropped_;
};

}  // namespace trivet
