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

// "fentry: Operation not permitted; ..." for the tiers that were tried before the one in use.
std::string refusals(const HookState& hook) {
  std::string text;
  for (const auto& tier : hook.tried)
    if (!tier.refusal.empty()) text += (text.empty() ? "" : "; ") + tier.tier + ": " + tier.refusal;
  return text;
}

Json hook_summaries(const std::vector<OwnedHooks>& owners, const SilentHooks& silent) {
  Json list = Json::array();
  for (const auto& owner : owners)
    for (const auto& hook : owner.hooks) {
      const auto found = silent.find({owner.owner, hook.hook});
      list.push_back({{"plugin", owner.owner},
                      {"hook", hook.hook},
                      {"tier", hook.tier},
                      {"silent", found == silent.end() ? std::string() : found->second},
                      {"refused", refusals(hook)}});
    }
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

}  // namespace

std::vector<LaneStatus> lane_status(const lanes::LaneReader& reader,
                                    const std::vector<PluginHost*>& hosts) {
  std::vector<LaneStatus> list(LANE_COUNT);
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) {
    list[lane].lane = lanes::lane_name(lane);
    list[lane].delivered = reader.counters(lane).delivered;
    for (const auto* host : hosts)
      for (unsigned type = 0; type < EVENT_TYPES; ++type)
        list[lane].dropped_in_queues += host->dropped_events(lane, type);
  }
  if (const auto accounts = reader.accounts())
    for (const auto& account : *accounts)
      list[account.lane].dropped_in_kernel +=
          account.kernel.ring_full + account.kernel.too_large + account.kernel.fault;
  return list;
}

std::vector<OutputStatus> output_status(const Outputs& outputs) {
  std::vector<OutputStatus> list;
  for (const auto* output : outputs.all()) {
    const auto& counts = output->counts();
    list.push_back({output->settings().name, std::string(type_name(output->settings().target)),
                    output->failing(), counts.delivered, counts.filtered, 0, counts.failures,
                    counts.spool_bytes});
    for (const auto& lost : counts.lost) list.back().dropped += lost;
  }
  return list;
}

std::string to_json(const StatusReport& report) {
  Json lanes = Json::array();
  for (const auto& lane : report.lanes)
    lanes.push_back({{"lane", lane.lane},
                     {"delivered", lane.delivered},
                     {"dropped_in_kernel", lane.dropped_in_kernel},
                     {"dropped_in_queues", lane.dropped_in_queues}});
  Json tables = Json::array();
  for (const auto& table : report.tables)
    tables.push_back({{"table", table.schema->table},
                      {"rows", table.rows},
                      {"bytes", table.bytes},
                      {"records", table.appended},
                      {"evicted", table.evicted}});
  Json outputs = Json::array();
  for (const auto& output : report.outputs)
    outputs.push_back({{"output", output.output},
                       {"type", output.type},
                       {"state", output.failing ? "failing" : "working"},
                       {"delivered", output.delivered},
                       {"filtered", output.filtered},
                       {"dropped", output.dropped},
                       {"failures", output.failures},
                       {"spool_bytes", output.spool_bytes}});
  Json verbs = Json::array();
  for (const auto& verb : report.verbs) verbs.push_back({{"verb", verb.name}, {"help", verb.help}});
  return dump({{"version", report.version},
               {"uptime_ns", report.uptime_ns},
               {"plugins", plugin_list(report.plugins)},
               {"hooks", hook_summaries(report.hooks, report.silent)},
               {"lanes", std::move(lanes)},
               {"tables", std::move(tables)},
               {"outputs", std::move(outputs)},
               {"verbs", std::move(verbs)},
               {"processes", report.facts.processes}});
}

std::string to_json(const std::vector<broker::HostCondition>& host,
                    const std::vector<OwnedHooks>& hooks) {
  Json conditions = Json::array();
  for (const auto& condition : host)
    conditions.push_back({{"condition", condition.name},
                          {"fitness", broker::to_string(condition.fitness)},
                          {"sentence", condition.sentence}});
  return dump({{"host", std::move(conditions)}, {"hooks", hook_list(hooks)}});
}

std::string to_json(const std::vector<PluginState>& plugins) {
  return dump(plugin_list(plugins));
}

std::string reload_answer(const std::vector<PluginState>& plugins, bool needs_restart) {
  return dump(
      {{"reloaded", true}, {"plugins", plugin_list(plugins)}, {"needs_restart", needs_restart}});
}

}  // namespace trivet
