// SPDX-License-Identifier: Apache-2.0
// The table `sockets`: the open internet sockets of every network namespace as host facts know
// them.
#pragma once

#include <string>

#include "query/live_table.h"
#include "trivet/facts.h"
#include "trivet/record.h"

namespace trivet {

#define TRIVET_SOCKET_ROW_COLUMNS(X, R)                                                            \
  X(R, std::uint64_t, socket_cookie, none, always, "", "Kernel's cookie: the socket's identity")   \
  X(R, std::string, protocol, none, always, "network.transport", "tcp, udp, or the number")        \
  X(R, std::string, state, none, always, "network.connection.state",                               \
    "State of TCP: listen, established, ...; of others established where it has a peer, else "     \
    "closed")                                                                                      \
  X(R, ::trivet::IpAddress, local_address, none, always, "network.local.address",                  \
    "Own address; :: or 0.0.0.0 where bound to none")                                              \
  X(R, std::uint16_t, local_port, none, always, "network.local.port", "Own port; 0 where unknown") \
  X(R, ::trivet::IpAddress, peer_address, none, always, "network.peer.address",                    \
    "Address of the peer; none where it has no peer")                                              \
  X(R, std::uint16_t, peer_port, none, always, "network.peer.port", "Port of the peer")            \
  X(R, std::uint32_t, pid, none, always, "process.pid", "Its owner; 0 where unknown")              \
  X(R, std::uint64_t, process_start_ns, nanoseconds, detail, "",                                   \
    "Start of the owner since boot: with pid, its identity")                                       \
  X(R, std::string, process, none, always, "process.command", "Name of the owner (comm)")          \
  X(R, std::uint64_t, cgroup_id, none, detail, "", "cgroup2 id of the owner; 0 where unknown")     \
  X(R, std::uint32_t, net_namespace, none, detail, "",                                             \
    "Inode number of its network namespace; 0 where unknown")                                      \
  X(R, ::trivet::Time, since, nanoseconds, detail, "", "When it was first seen")

TRIVET_RECORD(SocketRow, "sockets", 1, "Open internet sockets", TRIVET_SOCKET_ROW_COLUMNS);

// `facts` must outlive the table.
LiveTable socket_table(const Facts& facts);

}  // namespace trivet
