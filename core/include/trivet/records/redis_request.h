// SPDX-License-Identifier: Apache-2.0
// One Redis command and its reply, or a message that the server pushed without being asked, as one
// end of the connection saw it.
#pragma once

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_REDIS_REQUEST_COLUMNS(X, R)                                                       \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                   \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                  \
  TRIVET_TLS_COLUMNS(X, R)                                                                       \
  X(R, std::string, command, none, always, "db.operation.name",                                  \
    "Command in capitals, with its subcommand where it has one; PUSH: sent without being asked") \
  X(R, std::vector<std::string>, arguments, none, always, "db.query.parameter",                  \
    "What follows the command, up to the limit; secrets as <redacted>")                          \
  X(R, bool, arguments_truncated, none, detail, "", "Whether arguments lack bytes")              \
  X(R, std::optional<std::uint32_t>, database, none, detail, "db.namespace",                     \
    "Database number, once a SELECT was seen")                                                   \
  X(R, std::string, status, none, always, "db.response.status_code",                             \
    "First word of an error reply, such as WRONGTYPE; empty otherwise")                          \
  X(R, std::string, response, none, detail, "", "Reply as text, up to the limit")                \
  X(R, bool, response_truncated, none, detail, "", "Whether response lacks bytes")               \
  X(R, std::uint64_t, request_bytes, bytes, detail, "", "Size of the command on the wire")       \
  X(R, std::uint64_t, response_bytes, bytes, detail, "", "Size of the reply on the wire")        \
  TRIVET_EXCHANGE_COLUMNS(X, R)

TRIVET_RECORD(RedisRequest, "redis_requests", 1, "Redis commands", TRIVET_REDIS_REQUEST_COLUMNS);

}  // namespace trivet
