// SPDX-License-Identifier: Apache-2.0
// What [tracing] of the configuration says, as the worker thread reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trivet::tracing {

struct HttpOptions {
  bool enabled = true;
  std::size_t body_limit = 64 << 10;        // kept of each body, bytes
  std::vector<std::string> redact_headers;  // names in lower case; their values are not kept
};

// Of protocols that carry queries.
struct DatabaseOptions {
  bool enabled = true;
  std::size_t text_limit = 4096;  // kept of each query and of each answer, bytes
  bool redact = true;             // secrets are not kept
};

// Of protocols of which nothing but its own fields is kept.
struct PlainOptions {
  bool enabled = true;
};

struct Options {
  std::uint64_t request_timeout_ns = 60'000'000'000;
  HttpOptions http;
  DatabaseOptions redis;
  DatabaseOptions postgresql;
  DatabaseOptions mysql;
  PlainOptions dns;
  PlainOptions tls;
};

}  // namespace trivet::tracing
