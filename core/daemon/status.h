// SPDX-License-Identifier: Apache-2.0
// What `trivet status` is told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/host_check.h"
#include "control/server.h"
#include "daemon/hook_watch.h"
#include "daemon/plugin_set.h"
#include "facts/host_facts.h"
#include "lanes/reader.h"
#include "outputs/outputs.h"
#include "records/tables.h"
#include "trivet/bpf.h"

namespace trivet {

// The hooks of one plugin's objects, or of the core's.
struct OwnedHooks {
  std::string owner;
  std::vector<HookState> hooks;
};

struct LaneStatus {
  std::string lane;
  std::uint64_t delivered = 0;
  std::uint64_t dropped_in_kernel = 0;
  std::uint64_t dropped_in_queues = 0;  // of all plugins together
};
// From the counts of the reader and of the plugins' queues.
std::vector<LaneStatus> lane_status(const lanes::LaneReader& reader,
                                    const std::vector<PluginHost*>& hosts);

struct OutputStatus {
  std::string output, type;
  bool failing = false;
  std::uint64_t delivered = 0, filtered = 0, dropped = 0, failures = 0, spool_bytes = 0;
};
std::vector<OutputStatus> output_status(const Outputs& outputs);

struct StatusReport {
  std::string version;
  std::uint64_t uptime_ns = 0;
  std::vector<PluginState> plugins;
  std::vector<OwnedHooks> hooks;
  SilentHooks silent;
  std::vector<LaneStatus> lanes;
  std::vector<PluginVerb> verbs;
  std::vector<TableState> tables;
  std::vector<OutputStatus> outputs;
  HostFacts::Counts facts{};
};

// One JSON object; docs/control-protocol.md lists its members.
std::string to_json(const StatusReport& report);
// What this host offers, and every hook with all that was tried: `trivet doctor -o json`.
std::string to_json(const std::vector<broker::HostCondition>& host,
                    const std::vector<OwnedHooks>& hooks);
// What `trivet plugin ls` is told.
std::string to_json(const std::vector<PluginState>& plugins);
// What `trivet reload` is told: the plugins as they are now.
std::string reload_answer(const std::vector<PluginState>& plugins, bool needs_restart);

}  // namespace trivet
