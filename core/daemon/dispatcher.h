// SPDX-License-Identifier: Apache-2.0
// Where events leave the reader: each one passes host facts, then goes to the plugins that want it.
// Reader thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "daemon/plugin_host.h"
#include "event.h"
#include "facts/host_facts.h"
#include "lanes/batch.h"

namespace trivet {

class Dispatcher {
 public:
  // The hosts outlive the dispatcher.
  Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts);

  void dispatch(const lanes::Batch& batch);
  // Bytes of that lane that may be dispatched now without a plugin losing what it wants to wait
  // for.
  std::size_t room(lane of) const;

 private:
  // What one plugin gets of the batch at hand.
  struct Pending {
    PluginHost::Share share;
    std::array<std::size_t, LANE_COUNT> room{};
    std::array<unsigned, LANE_COUNT> one_in{};  // the part of the events to keep
  };
  // A process that was looked up lately. Good while the generation is that of the facts.
  struct Known {
    TaskKey key;
    PluginHost::Subject subject;
    std::uint64_t generation = 0;
  };

  void begin(Pending& pending, const PluginHost& host) const;
  bool takes(Pending& pending, PluginHost& host, const event_header& header) const;
  // Whom an event that changes no facts is about.
  const PluginHost::Subject& subject(std::span<const std::byte> event);
  PluginHost::Subject with_parent(ProcessRef process) const;

  HostFacts& facts_;
  const std::vector<PluginHost*> hosts_;
  std::vector<Pending> pending_;
  std::array<Known, 256> known_;
  std::uint64_t generation_ = 0;  // grows with each change of the facts and with each batch
};

}  // namespace trivet
