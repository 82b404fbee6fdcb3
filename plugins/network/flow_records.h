// SPDX-License-Identifier: Apache-2.0
// From the kernel's flow events to Flow records, and the metrics of both: hubble_* where Hubble has
// the thing, so that its dashboards load. Plugin's worker thread.
#pragma once

#include <map>
#include <tuple>

#include "network/flow.h"
#include "network/hubble_metrics.h"
#include "network/policy_maps.h"
#include "trivet/bpf.h"
#include "trivet/host.h"
#include "trivet/records/flow.h"

namespace trivet::network {

class FlowRecords {
 public:
  // All outlive this.
  FlowRecords(Host& host, const PolicyMaps& policy, Map& counters);

  // Publishes one event's account.
  void handle(const Event<flow_event>& event);
  // Brings the metrics of what only the kernel counts up to date.
  Result<void> follow_counters();

 private:
  void count_processed(const flow_event& event);

  Host& host_;
  const PolicyMaps& policy_;
  Map& counters_;
  HubbleMetrics hubble_;
  // By protocol, direction and verdict: a metric's look-up by labels costs more than the event.
  std::map<std::tuple<std::uint8_t, std::uint8_t, std::uint8_t>, Counter*> processed_;
};

// The record of an event, but for its process.
Flow to_record(const flow_event& event, std::string_view rule);

}  // namespace trivet::network
