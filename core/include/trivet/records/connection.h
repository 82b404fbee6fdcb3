// SPDX-License-Identifier: Apache-2.0
// A TCP connection once it has ended, or could not be made, with the kernel's own account of it
// (struct tcp_sock). Of one that was there before trivet nobody knows who opened it: no role.
#pragma once

#include "trivet/records/request_columns.h"

namespace trivet {

#define TRIVET_CONNECTION_COLUMNS(X, R)                                                          \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                                   \
  TRIVET_ENDPOINT_COLUMNS(X, R)                                                                  \
  X(R, std::string, end, none, always, "",                                                       \
    "How it ended: closed, reset (by the peer), aborted (by this end), refused, timeout, error") \
  X(R, std::uint64_t, sent_bytes, bytes, always, "", "Payload sent, each byte once")             \
  X(R, std::uint64_t, received_bytes, bytes, always, "", "Payload received")                     \
  X(R, std::uint32_t, retransmits, packets, always, "", "Segments that were sent again")         \
  X(R, ::trivet::Duration, rtt, nanoseconds, always, "", "Smoothed round-trip time at the end")  \
  X(R, std::optional<::trivet::Time>, opened, nanoseconds, detail, "",                           \
    "When it was asked for, or accepted by the kernel; none if before trivet started")           \
  X(R, ::trivet::Duration, duration, nanoseconds, always, "",                                    \
    "From then until its end; 0 where that is not known")

TRIVET_RECORD(Connection, "connections", 1, "TCP connections that have ended",
              TRIVET_CONNECTION_COLUMNS);

}  // namespace trivet
