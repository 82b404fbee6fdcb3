// SPDX-License-Identifier: Apache-2.0
// OpenTelemetry's duration histograms of HTTP servers and clients: one observation for each record.
// Owned by the plugin; its worker thread.
#pragma once

#include <array>
#include <unordered_map>

#include "trivet/metrics.h"
#include "trivet/records/http_request.h"

namespace trivet::tracing {

class RequestMetrics {
 public:
  explicit RequestMetrics(Metrics& metrics) : metrics_(metrics) {}
  void observe(const HttpRequest& record);

 private:
  Metrics& metrics_;
  std::unordered_map<unsigned, Histogram*> series_;  // by role, method and status
};

}  // namespace trivet::tracing
