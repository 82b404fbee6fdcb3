// SPDX-License-Identifier: Apache-2.0
#include "daemon/dispatcher.h"

#include <memory>
#include <utility>

namespace trivet {

Dispatcher::Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts)
    : facts_(facts), hosts_(std::move(hosts)), shares_(hosts_.size()), dropped_(hosts_.size()) {}

void Dispatcher::dispatch(lanes::Batch&& events) {
  const auto batch = std::make_shared<const lanes::Batch>(std::move(events));
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    for (unsigned lane = 0; lane < LANE_COUNT; ++lane)
      shares_[i].room[lane] = hosts_[i]->room(static_cast<enum lane>(lane));

  for (std::size_t number = 0; number < batch->size(); ++number) {
    const auto event = batch->record(number);
    const auto& header = batch->header(number);
    const ProcessRef process = facts_.apply(event);
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      if (!hosts_[i]->wants(header.type)) continue;
      Share& share = shares_[i];
      if (share.bytes[header.lane] + event.size() > share.room[header.lane]) {
        ++dropped_[i][header.lane];
        continue;
      }
      share.bytes[header.lane] += event.size();
      share.items.push_back({event, process});
    }
  }

  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    Share& share = shares_[i];
    if (share.items.empty()) continue;
    hosts_[i]->offer(batch, std::exchange(share.items, {}), std::exchange(share.bytes, {}));
  }
}

Dispatcher::Dropped Dispatcher::dropped() const {
  Dropped dropped;
  for (const auto& plugin : dropped_) {
    auto& copy = dropped.emplace_back();
    for (unsigned lane = 0; lane < LANE_COUNT; ++lane) copy[lane] = plugin[lane];
  }
  return dropped;
}

}  // namespace trivet
