// SPDX-License-Identifier: Apache-2.0
// A socket's traffic with one peer, counted in the kernel. Published when the flow opens, changes
// state or verdict, once in each reporting interval while it has traffic, and when it ends.
#pragma once

#include <string>

#include "trivet/record.h"

namespace trivet {

#define TRIVET_FLOW_COLUMNS(X, R)                                                           \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                              \
  X(R, std::string, protocol, none, always, "network.transport", "tcp or udp")              \
  X(R, std::string, direction, none, always, "network.io.direction",                        \
    "Who opened it: egress if this end did, else ingress")                                  \
  X(R, ::trivet::IpAddress, local_address, none, detail, "network.local.address",           \
    "This end's address")                                                                   \
  X(R, std::uint16_t, local_port, none, always, "network.local.port", "This end's port")    \
  X(R, ::trivet::IpAddress, peer_address, none, always, "network.peer.address",             \
    "The other end's address")                                                              \
  X(R, std::uint16_t, peer_port, none, always, "network.peer.port", "The other end's port") \
  X(R, std::string, state, none, always, "network.connection.state",                        \
    "open, closed, or refused by policy")                                                   \
  X(R, std::string, verdict, none, always, "", "FORWARDED, DROPPED or AUDIT")               \
  X(R, std::string, rule, none, always, "",                                                 \
    "Rule that gave the verdict; (default) or (fail-safe) where none did")                  \
  X(R, std::uint64_t, sent_bytes, bytes, always, "", "Bytes sent, with IP headers")         \
  X(R, std::uint64_t, sent_packets, packets, detail, "",                                    \
    "Packets sent, as the socket handed them over")                                         \
  X(R, std::uint64_t, received_bytes, bytes, always, "", "Bytes received, with IP headers") \
  X(R, std::uint64_t, received_packets, packets, detail, "",                                \
    "Packets received, as the socket was handed them")                                      \
  X(R, std::uint64_t, dropped_packets, packets, detail, "", "Packets that policy dropped")  \
  X(R, ::trivet::Time, first_seen, nanoseconds, detail, "", "First packet or attempt")      \
  X(R, ::trivet::Time, last_seen, nanoseconds, detail, "", "Last packet or attempt")

TRIVET_RECORD(Flow, "flows", 1, "Traffic of sockets by peer", TRIVET_FLOW_COLUMNS);

}  // namespace trivet
