// SPDX-License-Identifier: Apache-2.0
// OpenTelemetry's duration histograms of servers and clients: one observation for each record.
// Owned by the plugin; its worker thread.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "tracing/services.h"
#include "trivet/metrics.h"
#include "trivet/records/dns_request.h"
#include "trivet/records/grpc_request.h"
#include "trivet/records/http_message.h"
#include "trivet/records/http_request.h"
#include "trivet/records/mysql_request.h"
#include "trivet/records/postgresql_request.h"
#include "trivet/records/redis_request.h"
#include "trivet/records/tls_handshake.h"

namespace trivet::tracing {

class RequestMetrics {
 public:
  // Both outlive it.
  RequestMetrics(Metrics& metrics, Services& services, std::size_t max_routes)
      : metrics_(metrics), services_(services), max_routes_(max_routes) {}
  void observe(const HttpRequest& record);
  void observe(const HttpMessage&) {}  // no convention has a metric of them
  void observe(const GrpcRequest& record);
  void observe(const RedisRequest& record);
  void observe(const PostgresqlRequest& record);
  void observe(const MysqlRequest& record);
  void observe(const DnsRequest& record);
  void observe(const TlsHandshake&) {}  // nor of these

 private:
  // Of protocols that carry queries.
  template <class Record>
  void observe_database(std::string_view system, const Record& record, std::string_view operation) {
    observe_database(system, services_.of(record.container_id, record.unit), record.role, operation,
                     record.latency);
  }
  void observe_database(std::string_view system, const std::string& service, std::string_view role,
                        std::string_view operation, Duration latency);
  std::string route_of(const HttpRequest& record);

  Metrics& metrics_;
  Services& services_;
  std::size_t max_routes_;
  std::unordered_set<std::string> routes_;  // those that have series of their own
  // By their labels.
  std::unordered_map<std::string, Histogram*> http_;
  std::unordered_map<std::string, Histogram*> rpc_;
  std::unordered_map<std::string, Histogram*> database_;
  std::unordered_set<std::string> calls_;  // service/method that have series of their own
};

}  // namespace trivet::tracing
