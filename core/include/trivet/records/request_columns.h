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
