// SPDX-License-Identifier: Apache-2.0
#include "daemon/facts_resync.h"

#include <memory>
#include <string>
#include <utility>

#include "daemon/process_snapshot.h"

namespace trivet {

FactsResync::FactsResync(broker::Client& broker, HostFacts& facts, lanes::LaneReader& reader,
                         Log& log, std::uint32_t lifecycle)
    : broker_(broker), facts_(facts), reader_(reader), log_(log), lifecycle_(lifecycle) {}

void FactsResync::check() {
  if (under_way_) return;
  const auto accounts = reader_.accounts(LANE_LIFECYCLE);
  if (!accounts) return;
  std::uint64_t lost = reader_.counters(LANE_LIFECYCLE).malformed;
  for (const auto& account : *accounts)
    lost += account.kernel.ring_full + account.kernel.too_large + account.kernel.fault;
  if (lost == lost_) return;
  const auto newly = lost - std::exchange(lost_, lost);

  under_way_ = true;
  reader_.hold_lifecycle();
  auto snapshot =
      std::make_shared<const ProcessSnapshot>(ProcessSnapshot::take(broker_, lifecycle_, log_));
  reader_.release_lifecycle([this, snapshot = std::move(snapshot)] {
    snapshot->reconcile(facts_);
    ++resyncs_;
    under_way_ = false;
  });
  log_.warning("lifecycle events were lost: host facts are read anew",
               {{"lost", std::to_string(newly)}});
}

}  // namespace trivet
