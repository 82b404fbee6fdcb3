// SPDX-License-Identifier: Apache-2.0
// One command and its outcome, or a connection's start, as one end of a MySQL or MariaDB
// connection saw it.
#pragma once

#include <optional>

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_MYSQL_REQUEST_COLUMNS(X, R)                                                       \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                   \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                  \
  TRIVET_TLS_COLUMNS(X, R)                                                                       \
  X(R, std::string, operation, none, always, "db.operation.name",                                \
    "First word of the statement in capitals; without one the command: CONNECT, PREPARE, PING")  \
  X(R, std::optional<std::uint32_t>, command, none, detail, "",                                  \
    "Number of the protocol's command: 3 is COM_QUERY; null for CONNECT")                        \
  X(R, std::string, query, none, always, "db.query.text",                                        \
    "Statement up to the limit, passwords as <redacted>; empty if its preparation was not seen") \
  X(R, bool, query_truncated, none, detail, "", "Whether query lacks bytes")                     \
  X(R, std::string, fingerprint, none, detail, "db.query.summary",                               \
    "The statement without literals and comments")                                               \
  X(R, std::optional<std::uint32_t>, statement, none, detail, "",                                \
    "Id that the server gave the prepared statement")                                            \
  X(R, std::string, user, none, detail, "db.user", "User of the session, where it is known")     \
  X(R, std::string, database, none, detail, "db.namespace",                                      \
    "Database of the session, where it is known")                                                \
  X(R, std::string, server_version, none, detail, "",                                            \
    "Version that the server told as the connection began")                                      \
  X(R, std::string, status, none, always, "db.response.status_code",                             \
    "Number of an error; empty otherwise")                                                       \
  X(R, std::string, sqlstate, none, detail, "", "SQLSTATE of an error")                          \
  X(R, std::string, error_message, none, detail, "", "Message of an error")                      \
  X(R, std::uint64_t, affected_rows, none, detail, "", "Rows that the statements changed")       \
  X(R, std::uint64_t, rows, none, always, "db.response.returned_rows", "Rows that came back")    \
  X(R, std::uint64_t, request_bytes, bytes, detail, "",                                          \
    "Size of the packets that asked, before compression")                                        \
  X(R, std::uint64_t, response_bytes, bytes, detail, "",                                         \
    "Size of the packets that answered, before compression")                                     \
  TRIVET_EXCHANGE_COLUMNS(X, R)

TRIVET_RECORD(MysqlRequest, "mysql_requests", 1, "Commands to MySQL and MariaDB",
              TRIVET_MYSQL_REQUEST_COLUMNS);

}  // namespace trivet
