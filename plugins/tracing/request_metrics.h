// SPDX-License-Identifier: Apache-2.0
// OpenTelemetry's duration histograms of servers and clients: one observation for each record.
// Owned by the plugin; its worker thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "trivet/metrics.h"
#include "trivet/records/dns_request.h"
#include "trivet/records/http_request.h"
#include "trivet/records/mysql_request.h"
#include "trivet/records/postgresql_request.h"
#include "trivet/records/redis_request.h"
#include "trivet/records/tls_handshake.h"

namespace trivet::tracing {

class RequestMetrics {
 public:
  explicit RequestMetrics(Metrics& metrics) : metrics_(metrics) {}
  void observe(const HttpRequest& record);
  void observe(const RedisRequest& record);
  void observe(const PostgresqlRequest& record);
  void observe(const MysqlRequest& record);
  void observe(const DnsRequest& record);
  void observe(const TlsHandshake&) {}  // no convention has a metric of them

 private:
  void observe_database(std::string_view system, std::string_view role, std::string_view operation,
                        Duration latency);

  Metrics& metrics_;
  std::unordered_map<unsigned, Histogram*> http_;         // by role, method and status
  std::unordered_map<std::string, Histogram*> database_;  // by role, system and operation
};

}  // namespace trivet::tracing
