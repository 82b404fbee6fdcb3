// SPDX-License-Identifier: Apache-2.0
// One gRPC call, as one end of the connection saw it. The HTTP/2 exchange that carries it is a row
// of http_requests with the same socket_cookie, stream and time.
#pragma once

#include <optional>
#include <string>

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_GRPC_REQUEST_COLUMNS(X, R)                                                         \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                    \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                   \
  TRIVET_TLS_COLUMNS(X, R)                                                                        \
  X(R, std::string, service, none, always, "rpc.service", "Service, with its package")            \
  X(R, std::string, method, none, always, "rpc.method", "Method")                                 \
  X(R, std::string, kind, none, detail, "",                                                       \
    "unary, client_streaming, server_streaming or bidi_streaming, by the messages that came: a "  \
    "stream of one message looks unary")                                                          \
  X(R, std::string, status, none, always, "", "Status by name, as NOT_FOUND; empty if none came") \
  X(R, std::optional<std::uint32_t>, status_code, none, detail, "rpc.grpc.status_code",           \
    "Status as a number; none if none came")                                                      \
  X(R, std::string, message, none, detail, "",                                                    \
    "Status message, percent-decoded, up to a kilobyte")                                          \
  X(R, std::optional<std::uint32_t>, request_messages, none, always, "",                          \
    "Messages of the client; none if not all of them were seen")                                  \
  X(R, std::optional<std::uint32_t>, response_messages, none, always, "",                         \
    "Messages of the server; none if not all of them were seen")                                  \
  X(R, std::uint64_t, request_message_bytes, bytes, detail, "",                                   \
    "Size of the client's messages as sent, without their prefixes")                              \
  X(R, std::uint64_t, response_message_bytes, bytes, detail, "",                                  \
    "Size of the server's messages as sent, without their prefixes")                              \
  X(R, std::string, request_compression, none, detail, "", "grpc-encoding of the client")         \
  X(R, std::string, response_compression, none, detail, "", "grpc-encoding of the server")        \
  X(R, std::uint32_t, compressed_messages, none, detail, "",                                      \
    "Messages of both that were sent compressed")                                                 \
  X(R, std::optional<std::uint32_t>, http_status, none, detail, "http.response.status_code",      \
    "Status code of the HTTP response that carries it")                                           \
  TRIVET_STREAM_COLUMNS(X, R)                                                                     \
  TRIVET_EXCHANGE_COLUMNS(X, R)

TRIVET_RECORD(GrpcRequest, "grpc_requests", 1, "gRPC calls", TRIVET_GRPC_REQUEST_COLUMNS);

}  // namespace trivet
