// SPDX-License-Identifier: Apache-2.0
#include "daemon/dispatcher.h"

#include <memory>
#include <utility>

namespace trivet {

Dispatcher::Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts)
    : facts_(facts), hosts_(std::move(hosts)), pending_(hosts_.size()) {}

void Dispatcher::dispatch(lanes::Batch&& batch) {
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    for (unsigned lane = 0; lane < LANE_COUNT; ++lane)
      pending_[i].room[lane] = hosts_[i]->room(static_cast<enum lane>(lane));

  for (std::size_t number = 0; number < batch.size(); ++number) {
    const auto event = batch.record(number);
    const auto& header = batch.header(number);
    const ProcessRef process = facts_.apply(event);
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (!hosts_[i]->wants(header.type)) continue;
      auto& [share, room] = pending_[i];
      if (share.bytes[header.lane] + event.size() > room[header.lane]) {
        hosts_[i]->count_dropped(static_cast<enum lane>(header.lane));
        continue;
      }
      share.bytes[header.lane] += event.size();
      ++share.counts[header.lane];
      share.events.add(event);
      share.processes.push_back(process);
    }
  }

  for (std::size_t i = 0; i < hosts_.size(); ++i)
    if (!pending_[i].share.events.empty())
      hosts_[i]->offer(std::exchange(pending_[i].share, PluginHost::Share()));
}

}  // namespace trivet
