// SPDX-License-Identifier: Apache-2.0
#include "query/socket_table.h"

#include <netinet/in.h>

#include <array>
#include <vector>

namespace trivet {
namespace {

// By number as tcp_states.h has them, in OpenTelemetry's words.
constexpr std::array<const char*, 14> kStates{
    "unconnected", "established", "syn_sent",     "syn_received",  "fin_wait_1",
    "fin_wait_2",  "time_wait",   "closed",       "close_wait",    "last_ack",
    "listen",      "closing",     "syn_received", "bound_inactive"};

std::string protocol_name(std::uint8_t protocol) {
  if (protocol == IPPROTO_TCP) return "tcp";
  if (protocol == IPPROTO_UDP) return "udp";
  return std::to_string(protocol);
}

SocketRow row_of(const Socket& socket, const Facts& facts) {
  SocketRow row;
  row.socket_cookie = socket.cookie;
  row.protocol = protocol_name(socket.protocol);
  row.state = socket.state < kStates.size() ? kStates[socket.state] : "";
  row.local_address = socket.local;
  row.local_port = socket.local_port;
  row.peer_address = socket.remote;
  row.peer_port = socket.remote_port;
  row.pid = socket.owner.tgid;
  row.process_start_ns = socket.owner.start_ns;
  if (const auto owner = facts.process(socket.owner)) row.process = owner->name;
  row.cgroup_id = socket.cgroup_id;
  row.net_namespace = socket.net_namespace;
  row.since.boot_ns = socket.since_ns;
  return row;
}

}  // namespace

LiveTable socket_table(const Facts& facts) {
  return {&SocketRow::schema(), [&facts](const std::function<void(const void*)>& visit) {
            // The facts are locked while they are visited: copy first, work afterwards.
            std::vector<SocketRef> open;
            facts.each_socket([&](const SocketRef& socket) { open.push_back(socket); });
            for (const auto& socket : open) {
              const SocketRow row = row_of(*socket, facts);
              visit(&row);
            }
          }};
}

}  // namespace trivet
