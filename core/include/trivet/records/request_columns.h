// SPDX-License-Identifier: Apache-2.0
// The columns that all requests between two ends of a connection share, whatever their protocol.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trivet/record.h"

// What every such record has behind the subject columns: whose part it tells, and the two ends.
#define TRIVET_ENDPOINT_COLUMNS(X, R)                                                    \
  X(R, std::string, role, none, always, "", "This process's part: client or server")     \
  X(R, ::trivet::IpAddress, local_address, none, detail, "network.local.address",        \
    "This end's address")                                                                \
  X(R, std::uint16_t, local_port, none, detail, "network.local.port", "This end's port") \
  X(R, ::trivet::IpAddress, peer_address, none, always, "network.peer.address",          \
    "The other end's address")                                                           \
  X(R, std::uint16_t, peer_port, none, always, "network.peer.port", "The other end's port")

// What those have that may be text above TLS: what is known of the handshake of the same socket.
#define TRIVET_TLS_COLUMNS(X, R)                                       \
  X(R, bool, tls, none, detail, "", "Whether it travelled inside TLS") \
  X(R, std::string, tls_version, none, detail, "tls.protocol.version", \
    "Version of TLS; empty where the handshake was not seen")          \
  X(R, std::string, tls_cipher, none, detail, "tls.cipher",            \
    "Cipher suite; empty where the handshake was not seen")

// What those have that a stream of HTTP/2 carries.
#define TRIVET_STREAM_COLUMNS(X, R)                               \
  X(R, std::optional<std::uint32_t>, stream, none, detail, "",    \
    "HTTP/2: number of the stream; even if the server pushed it") \
  X(R, std::string, error_code, none, detail, "",                 \
    "HTTP/2: code of the RST_STREAM or GOAWAY that ended it, as CANCEL (RFC 9113, 7)")

// What every such record ends with: whether it is whole, and how long it took.
#define TRIVET_EXCHANGE_COLUMNS(X, R)                                                        \
  X(R, std::string, error, none, detail, "error.type",                                       \
    "Why the exchange is incomplete: reset, closed, timeout, truncated, gap, malformed, "    \
    "capacity, aborted, superseded (docs/tracing.md); empty if it is whole")                 \
  X(R, bool, assumed, none, detail, "",                                                      \
    "Joined half-way: earlier requests may have been under way, and the response another's") \
  X(R, ::trivet::Duration, request_transfer, nanoseconds, detail, "",                        \
    "First to last byte of the request")                                                     \
  X(R, ::trivet::Duration, first_byte, nanoseconds, detail, "",                              \
    "Last byte of the request to first byte of the response")                                \
  X(R, ::trivet::Duration, latency, nanoseconds, always, "",                                 \
    "First byte of the request to last byte of the response")
