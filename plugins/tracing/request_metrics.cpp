// SPDX-License-Identifier: Apache-2.0
#include "tracing/request_metrics.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace trivet::tracing {
namespace {

// RFC 9110's and RFC 5789's methods; OpenTelemetry folds all others into one, the last.
constexpr std::array<std::string_view, 10> methods = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"};

// OpenTelemetry's advice, seconds.
const std::vector<double> bounds = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                    0.5,   0.75, 1,     2.5,  5,     7.5, 10};
const std::vector<double> database_bounds = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10};

// Operations past this many share one series; clients choose their names.
constexpr std::size_t max_database_series = 1024;
// The same for methods of gRPC.
constexpr std::size_t max_calls = 256;
constexpr std::uint32_t last_grpc_status = 16;

bool is_operation(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '_' || c == '.';
  });
}

}  // namespace

// Paths that nothing answers to are the client's invention: they get no series of their own.
std::string RequestMetrics::route_of(const HttpRequest& record) {
  const unsigned status = record.status.value_or(0);
  const bool served = status != 0 && status != 400 && status != 404 && status != 405;
  return admitted(routes_, record.route, served ? max_routes_ : routes_.size());
}

void RequestMetrics::observe(const HttpRequest& record) {
  const bool server = record.role == "server";
  const std::string method(
      *std::find(methods.begin(), methods.end() - 1, std::string_view(record.method)));
  const std::string status = record.status ? std::to_string(*record.status) : "";
  const std::string service = services_.of(record.container_id, record.unit);
  const std::string route = server ? route_of(record) : "";
  std::string key = record.role;
  for (const std::string* part : {&method, &status, &service, &route}) key.append(1, ' ') += *part;
  Histogram*& series = http_[key];
  if (!series) {
    Labels labels = {{"http_request_method", method},
                     {"http_response_status_code", status},
                     {"service_name", service}};
    if (server) labels.emplace_back("http_route", route);
    series = &metrics_.histogram(
        server ? "http_server_request_duration_seconds" : "http_client_request_duration_seconds",
        server ? "From the first byte of a request to the last byte of its response, at the server"
               : "From the first byte of a request to the last byte of its response, at the client",
        bounds, labels);
  }
  series->observe(static_cast<double>(record.latency.ns) / 1e9);
}

void RequestMetrics::observe(const GrpcRequest& record) {
  const bool server = record.role == "server";
  // A method that no server has is the client's invention.
  const bool served = !record.status.empty() && record.status != "UNIMPLEMENTED";
  const std::string call =
      admitted(calls_, record.service + "/" + record.method, served ? max_calls : calls_.size());
  const std::uint32_t code = record.status_code.value_or(0);
  const std::string status = !record.status_code        ? ""
                             : code <= last_grpc_status ? std::to_string(code)
                                                        : "_OTHER";
  const std::string service = services_.of(record.container_id, record.unit);
  std::string key = record.role;
  for (const std::string* part : {&call, &status, &service}) key.append(1, ' ') += *part;
  Histogram*& series = rpc_[key];
  if (!series) {
    const std::size_t slash = call.rfind('/');
    series = &metrics_.histogram(
        server ? "rpc_server_duration_seconds" : "rpc_client_duration_seconds",
        server ? "From the first byte of a call to the last byte of its answer, at the server"
               : "From the first byte of a call to the last byte of its answer, at the client",
        bounds,
        {{"rpc_grpc_status_code", status},
         {"rpc_method", call.substr(slash + 1)},
         {"rpc_service", call.substr(0, slash)},
         {"rpc_system", "grpc"},
         {"service_name", service}});
  }
  series->observe(static_cast<double>(record.latency.ns) / 1e9);
}

void RequestMetrics::observe(const RedisRequest& record) {
  if (record.command != "PUSH") {
    observe_database("redis", record, record.command);
  }
}

void RequestMetrics::observe(const PostgresqlRequest& record) {
  if (record.operation != "NOTIFICATION") {
    observe_database("postgresql", record, record.operation);
  }
}

void RequestMetrics::observe(const MysqlRequest& record) {
  // Some commands have no answer.
  if (record.response_bytes > 0 || !record.error.empty()) {
    observe_database("mysql", record, record.operation);
  }
}

// Types and codes are 16 bits of the sender's choice: metrics.max_series bounds the series.
void RequestMetrics::observe(const DnsRequest& record) {
  if (record.role != "client") return;
  metrics_
      .histogram("dns_lookup_duration_seconds",
                 "From the first byte of a query to the last byte of its response, at the client",
                 bounds,
                 {{"dns_question_type", record.question_type},
                  {"dns_response_code", record.response_code},
                  {"error_type", record.error},
                  {"service_name", services_.of(record.container_id, record.unit)}})
      .observe(static_cast<double>(record.latency.ns) / 1e9);
}

void RequestMetrics::observe_database(std::string_view system, const std::string& service,
                                      std::string_view role, std::string_view operation,
                                      Duration latency) {
  if (!is_operation(operation)) operation = "_OTHER";
  std::string key = std::string(role);
  for (std::string_view part : {system, operation, std::string_view(service)}) {
    key.append(1, '/').append(part);
  }
  auto found = database_.find(key);
  if (found == database_.end()) {
    if (database_.size() >= max_database_series && operation != "_OTHER") {
      observe_database(system, service, role, "_OTHER", latency);
      return;
    }
    const bool server = role == "server";
    Histogram& series = metrics_.histogram(
        server ? "db_server_operation_duration_seconds" : "db_client_operation_duration_seconds",
        server ? "From the first byte of a query to the last byte of its answer, at the server"
               : "From the first byte of a query to the last byte of its answer, at the client",
        database_bounds,
        {{"db_operation_name", std::string(operation)},
         {"db_system_name", std::string(system)},
         {"service_name", service}});
    found = database_.emplace(std::move(key), &series).first;
  }
  found->second->observe(static_cast<double>(latency.ns) / 1e9);
}

}  // namespace trivet::tracing
