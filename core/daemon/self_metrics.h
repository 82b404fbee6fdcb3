// SPDX-License-Identifier: Apache-2.0
// The daemon's metrics about itself: what passed, what was lost and where, what is held.
#pragma once

#include "control/server.h"
#include "daemon/facts_resync.h"
#include "daemon/plugin_set.h"
#include "facts/host_facts.h"
#include "lanes/reader.h"
#include "outputs/outputs.h"
#include "records/spill.h"
#include "records/tables.h"
#include "trivet/metrics.h"

namespace trivet {

// What there is to tell of.
struct Observed {
  unsigned restarts;  // of the main process
  const HostFacts& facts;
  const PluginSet& plugins;
  const FactsResync& resync;
  const lanes::LaneReader& reader;
  const Tables& tables;
  const Spill* spill;  // nullptr: records are not kept in files
  const Outputs& outputs;
  ControlCounts control;
};

// Brings the series up to date. Called on the main thread about once a second.
void publish(Metrics& metrics, const Observed& observed);

}  // namespace trivet
