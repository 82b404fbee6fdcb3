// SPDX-License-Identifier: Apache-2.0
// What `trivet status` is told. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/server.h"
#include "daemon/dispatcher.h"
#include "daemon/plugin_set.h"
#include "facts/host_facts.h"
#include "lanes/reader.h"
#include "records/tables.h"
#include "trivet/bpf.h"

namespace trivet {

// The hooks of one plugin's objects, or of the core's.
struct OwnedHooks {
  std::string owner;
  std::vector<HookState> hooks;
};

struct StatusReport {
  std::string version;
  std::uint64_t uptime_ns = 0;
  std::vector<PluginState> plugins;
  std::vector<OwnedHooks> hooks;
  std::vector<std::string> queue_owners;  // plugins, in the order of dispatched.dropped
  Dispatcher::Counts dispatched;
  std::vector<lanes::Account> lanes;  // what the kernel counted, by lane and event type
  std::vector<TableState> tables;
  HostFacts::Counts facts{};
};

// One JSON object; docs/control-protocol.md lists its members.
std::string to_json(const StatusReport& report);
// The hooks alone, as `trivet doctor -o json` prints them.
std::string to_json(const std::vector<OwnedHooks>& hooks);
// What `trivet reload` is told: the plugins as they are now.
std::string reload_answer(const std::vector<PluginState>& plugins, bool needs_restart);

}  // namespace trivet
