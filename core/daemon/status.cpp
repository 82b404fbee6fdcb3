// SPDX-License-Identifier: Apache-2.0
#include "daemon/status.h"

#include <nlohmann/json.hpp>

namespace trivet {

namespace {

using Json = nlohmann::ordered_json;

// Names and reasons come from our own files and the kernel, yet may hold any byte.
std::string dump(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json plugin_list(const std::vector<PluginState>& plugins) {
  Json list = Json::array();
  for (const auto& plugin : plugins)
    list.push_back({{"name", plugin.name},
                    {"version", plugin.version},
                    {"summary", plugin.summary},
                    {"state", to_string(plugin.status)},
                    {"reason", plugin.reason}});
  return list;
}

Json hook_list(const std::vector<OwnedHooks>& owners) {
  Json list = Json::array();
  for (const auto& owner : owners)
    for (const auto& hook : owner.hooks) {
      Json tried = Json::array();
      for (const auto& tier : hook.tried)
        tried.push_back({{"tier", tier.tier}, {"refusal", tier.refusal}});
      list.push_back({{"plugin", owner.owner},
                      {"hook", hook.hook},
                      {"tier", hook.tier},
                      {"tried", std::move(tried)}});
    }
  return list;
}

// What the kernel could not hand over, of one lane.
std::uint64_t kernel_drops(const std::vector<lanes::Account>& accounts, unsigned lane) {
  std::uint64_t drops = 0;
  for (const auto& account : accounts)
    if (account.lane == lane)
      drops += account.counts.ring_full + account.counts.too_large + account.counts.fault;
  return drops;
}

}  // namespace

std::string to_json(const StatusReport& report) {
  Json lanes = Json::array();
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) {
    std::uint64_t queue_drops = 0;
    for (const auto& plugin : report.dispatched.dropped) queue_drops += plugin[lane];
    lanes.push_back({{"lane", lane_name(lane)},
                     {"delivered", report.dispatched.delivered[lane]},
                     {"dropped_in_kernel", kernel_drops(report.lanes, lane)},
                     {"dropped_in_queues", queue_drops}});
  }
  Json tables = Json::array();
  for (const auto& table : report.tables)
    tables.push_back({{"table", table.schema->table},
                      {"rows", table.rows},
                      {"bytes", table.bytes},
                      {"records", table.appended}});
  return dump({{"version", report.version},
               {"uptime_ns", report.uptime_ns},
               {"plugins", plugin_list(report.plugins)},
               {"hooks", hook_list(report.hooks)},
               {"lanes", std::move(lanes)},
               {"tables", std::move(tables)},
               {"processes", report.facts.processes}});
}

std::string to_json(const std::vector<OwnedHooks>& hooks) {
  return dump({{"hooks", hook_list(hooks)}});
}

std::string reload_answer(const std::vector<PluginState>& plugins, bool needs_restart) {
  return dump({{"reloaded", true},
               {"plugins", plugin_list(plugins)},
               {"needs_restart", needs_restart}});
}

}  // namespace trivet
