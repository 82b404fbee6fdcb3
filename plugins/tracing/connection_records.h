// SPDX-License-Identifier: Apache-2.0
// TCP connections as they open and end, whatever they carry: a record for each that has ended, and
// metrics by service. From the events that the core has of sockets anyway. Owned by the plugin; its
// worker thread.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "core/sockets.h"
#include "tracing/services.h"
#include "trivet/host.h"
#include "trivet/records/connection.h"

namespace trivet::tracing {

// The record of a connection's end: `event` is its last.
Connection to_record(const socket_state_event& event);

class ConnectionRecords {
 public:
  // Both outlive it.
  ConnectionRecords(Host& host, Services& services) : host_(host), services_(services) {}
  void on_socket(const Event<socket_state_event>& event);

 private:
  // What is counted of one service in one role.
  struct Series {
    Counter* sent;
    Counter* received;
    Counter* retransmits;
    Histogram* rtt;
    std::unordered_map<std::string, Counter*> closed;  // by how it ended
  };
  void count(const Connection& connection);

  Host& host_;
  Services& services_;
  std::unordered_map<std::string, Series> series_;  // by role and service
};

}  // namespace trivet::tracing
