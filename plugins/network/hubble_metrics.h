// SPDX-License-Identifier: Apache-2.0
// Hubble's metrics of what tracing saw in flows, and of where flows go, under Hubble's names and
// labels, so that its dashboards load: pkg/hubble/metrics of Cilium. Plugin's worker thread.
#pragma once

#include <string>
#include <unordered_map>

#include "network/flow.h"
#include "trivet/host.h"
#include "trivet/records/dns_request.h"
#include "trivet/records/http_request.h"

namespace trivet::network {

class HubbleMetrics {
 public:
  // Subscribes to the requests. The host outlives this, and calls nothing once the plugin stops.
  explicit HubbleMetrics(Host& host);

  // Counts one account of a flow.
  void count(const flow_event& event);

 private:
  // A series that was looked up before: that costs more than to count.
  using Counters = std::unordered_map<std::string, Counter*>;
  Counter& counter(Counters& known, const char* name, const char* help, const Labels& labels);
  void count(const HttpRequest& request);
  void count(const DnsRequest& request);

  Host& host_;
  Counters requests_, queries_, responses_, types_, ports_, world_;
  std::unordered_map<std::string, Histogram*> durations_;
};

}  // namespace trivet::network
