// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tracing/options.h"

namespace trivet::tracing {
namespace {

// Names at whose key there may be a list; without one, `patterns` stays as it is.
void read_names(const Config& table, ConfigReader& read, const char* key, NamePatterns& patterns) {
  std::vector<std::string> names;
  read(key, names);
  if (read.failed() || std::ranges::count(table.keys(), key) == 0) return;
  auto result = NamePatterns::read(names);
  if (result) {
    patterns = std::move(result).value();
  } else {
    read.fail(key, std::move(result).error().within(key));
  }
}

}  // namespace

Result<void> read_http(ConfigReader& tracing, HttpOptions& options) {
  const auto table = tracing.table("http");
  if (!table) return {};
  auto body_limit = static_cast<std::int64_t>(options.body_limit);
  auto message_limit = static_cast<std::int64_t>(options.message_limit);
  ConfigReader read(*table);
  read("enabled", options.enabled);
  read.range("body_limit", body_limit, 0, 16 << 20);
  read.range("message_limit", message_limit, 0, 1 << 20);
  std::vector<std::string> patterns;
  read("routes", patterns);
  if (auto routes = Routes::read(patterns)) {
    options.routes = std::move(routes).value();
  } else {
    read.fail("routes", std::move(routes).error().within("routes"));
  }
  auto max_routes = static_cast<std::int64_t>(options.max_routes);
  read.range("max_routes", max_routes, 0, 10000);
  options.max_routes = static_cast<std::size_t>(max_routes);
  read_names(*table, read, "redact_headers", options.redact_headers);
  read_names(*table, read, "redact_parameters", options.redact_parameters);
  read_names(*table, read, "redact_cookies", options.redact_cookies);
  options.body_limit = static_cast<std::size_t>(body_limit);
  options.message_limit = static_cast<std::size_t>(message_limit);
  return read.finish();
}

}  // namespace trivet::tracing
