// SPDX-License-Identifier: Apache-2.0
// What [tracing] of the configuration says, as the worker thread reads it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tracing/redaction.h"
#include "tracing/routes.h"
#include "trivet/config.h"

namespace trivet::tracing {

struct HttpOptions {
  bool enabled = true;
  std::size_t body_limit = 64 << 10;  // kept of each body, bytes
  std::size_t message_limit = 4096;   // kept of each message of a WebSocket or event stream, bytes
  // Whose values are not kept; parameters are those of queries, forms and JSON.
  NamePatterns redact_headers = {"authorization", "proxy-authorization", "*token",
                                 "*api-key",      "*auth-key",           "*secret",
                                 "*password"};
  NamePatterns redact_parameters = {"*token",     "*password", "passwd",    "pwd",
                                    "*secret",    "*api_key",  "*api-key",  "*apikey",
                                    "*signature", "sig",       "*session*", "jwt"};
  NamePatterns redact_cookies = {"*"};
  Routes routes;
  std::size_t max_routes = 200;  // told apart in metrics
};
// Reads [tracing.http].
Result<void> read_http(ConfigReader& tracing, HttpOptions& options);

// Of protocols that carry queries.
struct DatabaseOptions {
  bool enabled = true;
  std::size_t text_limit = 4096;  // kept of each query and of each answer, bytes
  bool redact = true;             // secrets are not kept
  bool redact_literals = false;   // of statements nothing but the fingerprint is kept
};

// Of protocols of which nothing but its own fields is kept.
struct PlainOptions {
  bool enabled = true;
};

// Text above TLS, and of which executables: those that match a pattern of `only`, or any if there
// is none, and none of `except`.
struct TlsTextOptions {
  bool enabled = true;
  std::vector<std::string> only;
  std::vector<std::string> except;

  bool wanted(const std::string& exe) const;
};
// Reads [tracing.tls].
Result<void> read_tls(ConfigReader& tracing, PlainOptions& handshakes, TlsTextOptions& text);

// The kernel tells so much of a run beyond the body that is kept: heads and chunk framing, and
// requests that are sent before their answers.
inline constexpr std::uint32_t run_allowance_bytes = 256 << 10;

struct Options {
  std::uint64_t request_timeout_ns = 60'000'000'000;
  bool unix_sockets = false;
  HttpOptions http;
  DatabaseOptions redis;
  DatabaseOptions postgresql;
  DatabaseOptions mysql;
  PlainOptions dns;
  PlainOptions tls;
  TlsTextOptions tls_text;
};

}  // namespace trivet::tracing
