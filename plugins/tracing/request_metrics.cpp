// SPDX-License-Identifier: Apache-2.0
#include "tracing/request_metrics.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace trivet::tracing {
namespace {

// RFC 9110's and RFC 5789's methods; OpenTelemetry folds all others into one, the last.
constexpr std::array<std::string_view, 10> methods = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"};

// OpenTelemetry's advice for these two metrics, seconds.
const std::vector<double> bounds = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                    0.5,   0.75, 1,     2.5,  5,     7.5, 10};

}  // namespace

void RequestMetrics::observe(const HttpRequest& record) {
  const bool server = record.role == "server";
  const auto known = std::find(methods.begin(), methods.end() - 1, record.method);
  const auto method = static_cast<unsigned>(known - methods.begin());
  const unsigned key = (record.status.value_or(0) * methods.size() + method) * 2 + server;
  Histogram*& series = series_[key];
  if (!series) {
    series = &metrics_.histogram(
        server ? "http_server_request_duration_seconds" : "http_client_request_duration_seconds",
        server ? "From the first byte of a request to the last byte of its response, at the server"
               : "From the first byte of a request to the last byte of its response, at the client",
        bounds,
        {{"http_request_method", std::string(*known)},
         {"http_response_status_code", record.status ? std::to_string(*record.status) : ""}});
  }
  series->observe(static_cast<double>(record.latency.ns) / 1e9);
}

}  // namespace trivet::tracing
