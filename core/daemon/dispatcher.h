// SPDX-License-Identifier: Apache-2.0
// Where events leave the reader: each one passes host facts, then goes to the plugins that want it.
// Reader thread.
#pragma once

#include <array>
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
  // The hosts outlive the dispatcher.
  Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts);

  void dispatch(lanes::Batch&& batch);

 private:
  // What one plugin gets of the batch at hand: a copy, so that what waits in its queue weighs what
  // the queue is charged for, not a whole batch for one event of it.
  struct Pending {
    PluginHost::Share share;
    Worker::Count room{};
  };

  HostFacts& facts_;
  const std::vector<PluginHost*> hosts_;
  std::vector<Pending> pending_;
};

}  // namespace trivet
