// SPDX-License-Identifier: Apache-2.0
// One HTTP request and its response, as one end of the connection saw them. A connection between
// two local processes gives two records, one for each role.
#pragma once

#include <optional>
#include <string>

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_HTTP_REQUEST_COLUMNS(X, R)                                                         \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                    \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                   \
  TRIVET_TLS_COLUMNS(X, R)                                                                        \
  X(R, std::string, version, none, detail, "network.protocol.version",                            \
    "HTTP version: 1.0, 1.1 or 2")                                                                \
  X(R, std::string, method, none, always, "http.request.method", "Method")                        \
  X(R, std::string, path, none, always, "url.path", "Request target up to the question mark")     \
  X(R, std::string, route, none, detail, "http.route",                                            \
    "Path with identifiers as placeholders, or the pattern of tracing.http.routes that it "       \
    "matches")                                                                                    \
  X(R, std::string, query, none, detail, "url.query", "Request target behind the question mark")  \
  X(R, std::string, host, none, detail, "server.address", "Host header, or :authority of HTTP/2") \
  X(R, std::string, user_agent, none, detail, "user_agent.original", "User-Agent header")         \
  X(R, std::optional<std::uint32_t>, status, none, always, "http.response.status_code",           \
    "Status code; none if no response came, or (HTTP/2) it is among unknown_fields")              \
  X(R, std::string, status_message, none, detail, "", "Reason phrase")                            \
  X(R, ::trivet::Fields, request_headers, none, detail, "http.request.header",                    \
    "Request headers in order, names in lower case")                                              \
  X(R, ::trivet::Fields, response_headers, none, detail, "http.response.header",                  \
    "Response headers in order, names in lower case")                                             \
  X(R, std::uint64_t, request_body_bytes, bytes, detail, "http.request.body.size",                \
    "Size of the request body on the wire, without chunk framing")                                \
  X(R, std::uint64_t, response_body_bytes, bytes, always, "http.response.body.size",              \
    "Size of the response body on the wire, without chunk framing")                               \
  X(R, std::string, request_body, none, detail, "", "Request body up to the limit")               \
  X(R, std::string, request_body_decoded, none, detail, "",                                       \
    "Content codings that were undone in request_body, as gzip or br; empty if it is as sent")    \
  X(R, bool, request_body_truncated, none, detail, "", "Whether request_body lacks bytes")        \
  X(R, std::string, response_body, none, detail, "", "Response body up to the limit")             \
  X(R, std::string, response_body_decoded, none, detail, "",                                      \
    "Content codings that were undone in response_body")                                          \
  X(R, bool, response_body_truncated, none, detail, "", "Whether response_body lacks bytes")      \
  X(R, std::optional<std::uint32_t>, response_events, none, detail, "",                           \
    "Server-sent events in the response; none if it is no event stream, or was not seen whole")   \
  X(R, ::trivet::Fields, request_trailers, none, detail, "",                                      \
    "Fields behind the body of the request")                                                      \
  X(R, ::trivet::Fields, response_trailers, none, detail, "",                                     \
    "Fields behind the body of the response")                                                     \
  X(R, std::uint32_t, unknown_fields, none, detail, "",                                           \
    "HTTP/2: fields that are left out since their name or value was told before trivet saw the "  \
    "connection or in a gap, or there are more than are kept")                                    \
  TRIVET_STREAM_COLUMNS(X, R)                                                                     \
  TRIVET_EXCHANGE_COLUMNS(X, R)

TRIVET_RECORD(HttpRequest, "http_requests", 1, "HTTP exchanges", TRIVET_HTTP_REQUEST_COLUMNS);

}  // namespace trivet
