// SPDX-License-Identifier: Apache-2.0
#include "daemon/dispatcher.h"

#include <utility>

namespace trivet {

const char* lane_name(unsigned lane) {
  static constexpr std::array<const char*, LANE_COUNT> kNames{"lifecycle", "alert", "candidate",
                                                              "bulk"};
  return lane < kNames.size() ? kNames[lane] : "unknown";
}

Dispatcher::Dispatcher(HostFacts& facts, std::vector<PluginHost*> hosts)
    : facts_(facts), hosts_(std::move(hosts)), shares_(hosts_.size()), dropped_(hosts_.size()) {}

void Dispatcher::dispatch(const std::shared_ptr<const void>& batch, std::span<const Record> events) {
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    for (unsigned lane = 0; lane < LANE_COUNT; ++lane)
      shares_[i].room[lane] = hosts_[i]->room(static_cast<enum lane>(lane));

  for (const auto& event : events) {
    const auto& header = *reinterpret_cast<const event_header*>(event.data());
    ++delivered_[header.lane];
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

Dispatcher::Counts Dispatcher::counts() const {
  Counts counts{};
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) counts.delivered[lane] = delivered_[lane];
  for (const auto& plugin : dropped_) {
    auto& copy = counts.dropped.emplace_back();
    for (unsigned lane = 0; lane < LANE_COUNT; ++lane) copy[lane] = plugin[lane];
  }
  return counts;
}

}  // namespace trivet
