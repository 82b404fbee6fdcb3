// SPDX-License-Identifier: Apache-2.0
#include "daemon/self_metrics.h"

#include <string>

namespace trivet {

namespace {

void publish_lanes(Metrics& metrics, const Observed& observed) {
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) {
    const std::string name(lanes::lane_name(lane));
    const auto read = observed.reader.counters(lane);
    metrics.counter("trivet_events_delivered_total", "Events read from the lanes", {{"lane", name}})
        .follow(static_cast<double>(read.delivered));
    metrics
        .counter("trivet_events_malformed_total", "Records in a lane without a sound header",
                 {{"lane", name}})
        .follow(static_cast<double>(read.malformed));
    metrics
        .counter("trivet_sequence_gaps_total",
                 "Events missing by their sequence numbers: each must be a counted drop",
                 {{"lane", name}})
        .follow(static_cast<double>(read.missing));
    metrics
        .counter("trivet_events_late_total",
                 "Events handed on after newer ones of their lane or newer lifecycle events",
                 {{"lane", name}})
        .follow(static_cast<double>(read.late));
  }
  const auto accounts = observed.reader.accounts();
  if (!accounts) return;
  for (const auto& account : *accounts) {
    const Labels labels{{"lane", std::string(lanes::lane_name(account.lane))},
                        {"type", std::to_string(account.type)}};
    const auto follow = [&](const char* name, const char* help, Labels with, std::uint64_t total) {
      metrics.counter(name, help, with).follow(static_cast<double>(total));
    };
    follow("trivet_events_offered_total", "Events that the hooks saw, by lane and event type id",
           labels, account.kernel.offered);
    follow("trivet_events_filtered_total", "Events that no enabled consumer wanted", labels,
           account.kernel.filtered);
    const auto dropped = [&](const char* reason, std::uint64_t total) {
      Labels with = labels;
      with.emplace_back("reason", reason);
      follow("trivet_events_dropped_total", "Events lost in the kernel, by reason", with, total);
    };
    dropped("ring_full", account.kernel.ring_full);
    dropped("too_large", account.kernel.too_large);
    dropped("fault", account.kernel.fault);
    for (const auto* host : observed.plugins.hosts()) {
      const auto lost = host->dropped_events(account.lane, account.type);
      if (!host->wants(account.type) && lost == 0) continue;
      Labels with = labels;
      with.insert(with.begin(), {"plugin", host->name()});
      follow("trivet_queue_dropped_events_total",
             "Events lost because a plugin's queue had no room for more of that lane", with, lost);
    }
  }
}

void publish_plugins(Metrics& metrics, const Observed& observed) {
  for (const auto& plugin : observed.plugins.states())
    metrics.gauge("trivet_plugin_up", "Whether a plugin runs", {{"plugin", plugin.name}})
        .set(plugin.status == PluginStatus::running);
  for (const auto* host : observed.plugins.hosts()) {
    const Labels labels{{"plugin", host->name()}};
    metrics
        .counter("trivet_plugin_malformed_events_total",
                 "Events of another version or size than the plugin expects", labels)
        .follow(static_cast<double>(host->malformed_events()));
    metrics
        .counter("trivet_queue_dropped_records_total",
                 "Records of other plugins lost because a plugin's queue was full", labels)
        .follow(static_cast<double>(host->dropped_records()));
  }
}

void publish_held(Metrics& metrics, const Observed& observed) {
  const auto facts = observed.facts.counts();
  metrics.gauge("trivet_facts_processes", "Processes known, those that exited lately included")
      .set(static_cast<double>(facts.processes));
  metrics.counter("trivet_facts_evicted_total", "Exited processes forgotten early for lack of room")
      .follow(static_cast<double>(facts.evicted));
  metrics.gauge("trivet_facts_sockets", "Sockets known, those that closed lately included")
      .set(static_cast<double>(facts.sockets.sockets));
  metrics
      .counter("trivet_facts_sockets_evicted_total",
               "Closed sockets forgotten early for lack of room")
      .follow(static_cast<double>(facts.sockets.evicted));
  metrics.counter("trivet_facts_sockets_refused_total", "Sockets not known for lack of room")
      .follow(static_cast<double>(facts.sockets.refused));
  metrics.gauge("trivet_facts_containers", "Containers that a runtime's files describe")
      .set(static_cast<double>(facts.inspector.containers));
  metrics
      .counter("trivet_facts_containers_unknown_total",
               "Containers that no runtime's files described")
      .follow(static_cast<double>(facts.inspector.unknown));
  metrics
      .counter("trivet_facts_inspections_dropped_total",
               "Containers, environments and hashes not looked at for lack of room")
      .follow(static_cast<double>(facts.inspector.dropped));
  metrics
      .counter("trivet_main_restarts_total",
               "Times that the main process was started again because a signal had ended it")
      .follow(static_cast<double>(observed.restarts));
  metrics
      .counter("trivet_facts_resyncs_total",
               "Times that host facts were read anew because lifecycle events had been lost")
      .follow(static_cast<double>(observed.resync.resyncs()));
  for (const auto& table : observed.tables.states()) {
    const Labels labels{{"table", std::string(table.schema->table)}};
    metrics.counter("trivet_records_total", "Records published, by table", labels)
        .follow(static_cast<double>(table.appended));
    metrics.counter("trivet_records_evicted_total", "Records that gave way, by table", labels)
        .follow(static_cast<double>(table.evicted));
    metrics.gauge("trivet_table_rows", "Records held in memory", labels)
        .set(static_cast<double>(table.rows));
    metrics.gauge("trivet_table_bytes", "Memory held by records, estimated", labels)
        .set(static_cast<double>(table.bytes));
  }
  metrics.gauge("trivet_control_clients", "Connections to the control socket")
      .set(static_cast<double>(observed.control.clients));
  metrics.counter("trivet_control_requests_total", "Requests on the control socket")
      .follow(static_cast<double>(observed.control.requests));
  metrics.counter("trivet_control_refused_total", "Connections refused for lack of right or room")
      .follow(static_cast<double>(observed.control.refused));
  metrics
      .counter("trivet_follower_dropped_records_total",
               "Records that readers of live streams and outputs were too slow for")
      .follow(static_cast<double>(observed.tables.dropped()));
}

void publish_spill(Metrics& metrics, const Spill& spill) {
  for (const auto& [table, state] : spill.states()) {
    const Labels labels{{"table", table}};
    metrics.gauge("trivet_spill_segments", "Files that records are kept in", labels)
        .set(static_cast<double>(state.segments));
    metrics.gauge("trivet_spill_bytes", "Size of the files that records are kept in", labels)
        .set(static_cast<double>(state.bytes));
    metrics.counter("trivet_spill_written_records_total", "Records written to files", labels)
        .follow(static_cast<double>(state.written_rows));
    metrics.counter("trivet_spill_written_bytes_total", "Size of the files written", labels)
        .follow(static_cast<double>(state.written_bytes));
    metrics.counter("trivet_spill_evicted_segments_total", "Files that gave way to a limit", labels)
        .follow(static_cast<double>(state.evicted_segments));
    const auto lost = [&](const char* reason, std::uint64_t total) {
      metrics
          .counter("trivet_spill_lost_records_total", "Records that got no file, by reason",
                   {{"table", table}, {"reason", reason}})
          .follow(static_cast<double>(total));
    };
    lost("queue_full", state.lost_to_queue);
    lost("write_failed", state.lost_to_writing);
    lost("too_large", state.lost_to_limit);
    lost("stopped", state.lost_to_end);
  }
  metrics
      .counter("trivet_spill_refused_segments_total",
               "Files of records that cannot be read: damaged, or of another version")
      .follow(static_cast<double>(spill.refused_segments()));
  metrics.gauge("trivet_spill_foreign_files", "Files in the folder that are not trivet's")
      .set(static_cast<double>(spill.foreign_files()));
}

void publish_outputs(Metrics& metrics, const Outputs& outputs) {
  for (const auto* output : outputs.all()) {
    const Labels labels{{"output", output->settings().name}};
    const OutputCounts& counts = output->counts();
    const auto follow = [&](const char* name, const char* help, std::uint64_t total) {
      metrics.counter(name, help, labels).follow(static_cast<double>(total));
    };
    follow("trivet_output_records_total", "Records that an output handed over", counts.delivered);
    follow("trivet_output_filtered_records_total", "Records that an output's condition held back",
           counts.filtered);
    follow("trivet_output_failures_total", "Attempts of an output that failed, and are repeated",
           counts.failures);
    for (std::size_t i = 0; i < kLosses; ++i)
      metrics
          .counter("trivet_output_dropped_records_total", "Records that an output lost, by reason",
                   {{"output", output->settings().name},
                    {"reason", std::string(name_of(static_cast<Loss>(i)))}})
          .follow(static_cast<double>(counts.lost[i]));
    if (std::holds_alternative<HttpTarget>(output->settings().target))
      metrics.gauge("trivet_output_spool_bytes", "Size of what waits on disk to be sent", labels)
          .set(static_cast<double>(counts.spool_bytes));
  }
}

}  // namespace

void publish(Metrics& metrics, const Observed& observed) {
  publish_lanes(metrics, observed);
  publish_plugins(metrics, observed);
  publish_held(metrics, observed);
  publish_outputs(metrics, observed.outputs);
  if (observed.spill) publish_spill(metrics, *observed.spill);
}

}  // namespace trivet
