// SPDX-License-Identifier: Apache-2.0
// One statement and its outcome, a connection's start, or a notification, as one end of a
// PostgreSQL connection saw it.
#pragma once

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_POSTGRESQL_REQUEST_COLUMNS(X, R)                                                    \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                     \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                    \
  TRIVET_TLS_COLUMNS(X, R)                                                                         \
  X(R, std::string, operation, none, always, "db.operation.name",                                  \
    "First word of the statement in capitals; CONNECT, CANCEL, NOTIFICATION and such without one") \
  X(R, std::string, query, none, always, "db.query.text",                                          \
    "Statement up to the limit, passwords as <redacted>; empty if its preparation was not seen")   \
  X(R, bool, query_truncated, none, detail, "", "Whether query lacks bytes")                       \
  X(R, std::string, fingerprint, none, detail, "db.query.summary",                                 \
    "The statement without literals and comments")                                                 \
  X(R, std::string, statement, none, detail, "", "Name of the prepared statement")                 \
  X(R, std::string, user, none, detail, "db.user", "User that the connection named")               \
  X(R, std::string, database, none, detail, "db.namespace", "Database that the connection named")  \
  X(R, std::string, status, none, always, "db.response.status_code",                               \
    "SQLSTATE of an error; empty otherwise")                                                       \
  X(R, std::string, error_message, none, detail, "", "Message of an error")                        \
  X(R, std::string, command_tag, none, detail, "", "What was done, such as INSERT 0 1")            \
  X(R, std::uint64_t, rows, none, always, "db.response.returned_rows", "Rows that came back")      \
  X(R, std::uint64_t, request_bytes, bytes, detail, "", "Size of the messages that asked")         \
  X(R, std::uint64_t, response_bytes, bytes, detail, "", "Size of the messages that answered")     \
  TRIVET_EXCHANGE_COLUMNS(X, R)

TRIVET_RECORD(PostgresqlRequest, "postgresql_requests", 1, "Statements to PostgreSQL",
              TRIVET_POSTGRESQL_REQUEST_COLUMNS);

}  // namespace trivet
