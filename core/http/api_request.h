// SPDX-License-Identifier: Apache-2.0
// What a client of the API asks for: docs/api.md. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "http/message.h"

namespace trivet {

enum class Endpoint { index, query, tables, status, stream, version };

struct EndpointEntry {
  Endpoint endpoint;
  std::string_view path;  // one that ends in a slash has a name behind it
  std::string_view methods;
  std::string_view meaning;
};
// Every endpoint, once.
std::span<const EndpointEntry> endpoints();

enum class RowFormat { json_lines, json_array, csv };
// What an answer in that format is called.
std::string_view media_type(RowFormat format);

struct ApiRequest {
  Endpoint endpoint = Endpoint::index;
  // For `query`.
  std::string sql;
  RowFormat format = RowFormat::json_lines;
  std::uint64_t time_ns = 0;  // 0: what the configuration allows
  // For `stream`.
  std::string table;
  std::size_t backlog = 0;  // newest records to begin with
};

// Records that a stream may begin with: as many as may wait for its reader.
inline constexpr std::size_t kMaxBacklog = 4096;

std::variant<ApiRequest, Refusal> understand(const RequestMessage& request);

// The path of the endpoint that a request names, or "other": one of few words, for metrics.
std::string_view endpoint_path(const RequestMessage& request);

// Whether `authorization` is "Bearer <token>" (RFC 6750). Takes as long for any wrong token of a
// length.
bool authorized(std::string_view authorization, std::string_view token);

}  // namespace trivet
