// SPDX-License-Identifier: Apache-2.0
#include "tracing/connection_records.h"

#include <netinet/in.h>

#include <cerrno>
#include <utility>
#include <vector>

namespace trivet::tracing {
namespace {

// The kernel's states of TCP (include/net/tcp_states.h) that this tells apart.
enum TcpState : std::uint8_t {
  kEstablished = 1,
  kSynSent = 2,
  kSynReceived = 3,
  kFinWait1 = 4,
  kCloseWait = 8,
  kListen = 10,
};

// Seconds; a local network's to a satellite's.
const std::vector<double> rtt_bounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                        0.025,  0.05,    0.1,    0.25,  0.5,    1};

const char* end_of(const socket_state_event& event) {
  switch (event.error) {
    case 0:
      break;
    case ECONNREFUSED:
      return "refused";
    case ECONNRESET:
    case EPIPE:
      return "reset";
    case ETIMEDOUT:
      return "timeout";
    default:
      return "error";
  }
  // Without an error, and without both ends having said that they are done.
  switch (event.old_state) {
    case kEstablished:
    case kSynSent:
    case kSynReceived:
    case kFinWait1:
    case kCloseWait:
      return "aborted";
    default:
      return "closed";
  }
}

}  // namespace

Connection to_record(const socket_state_event& event) {
  Connection record;
  if (event.opened_ns != 0) record.role = event.flags & SOCKET_CONNECTED ? "client" : "server";
  record.local_address = IpAddress::v6(event.local_address);
  record.local_port = event.local_port;
  record.peer_address = IpAddress::v6(event.peer_address);
  record.peer_port = event.peer_port;
  record.end = end_of(event);
  record.sent_bytes = event.sent_bytes;
  record.received_bytes = event.received_bytes;
  record.retransmits = event.retransmits;
  record.rtt = Duration{static_cast<std::int64_t>(event.rtt_us) * 1000};
  if (event.opened_ns != 0) {
    record.opened = Time{event.opened_ns};
    record.duration = Duration{static_cast<std::int64_t>(event.header.time_ns - event.opened_ns)};
  }
  return record;
}

void ConnectionRecords::on_socket(const Event<socket_state_event>& event) {
  if (event.data.protocol != IPPROTO_TCP) return;
  if (event.data.state == SOCKET_ESTABLISHED && event.data.old_state != SOCKET_ESTABLISHED) {
    host_.metrics()
        .counter("trivet_connections_opened_total", "TCP connections that were established",
                 {{"role", event.data.flags & SOCKET_CONNECTED ? "client" : "server"}})
        .add();
  }
  if (event.data.state != SOCKET_CLOSED || event.data.old_state == kListen) return;
  Connection record = to_record(event.data);
  set_subject(record, event.data.header, event.process);
  count(record);
  host_.publish(std::move(record));
}

void ConnectionRecords::count(const Connection& connection) {
  const std::string service = services_.of(connection.container_id, connection.unit);
  const Labels labels = {{"role", connection.role}, {"service_name", service}};
  Metrics& metrics = host_.metrics();
  auto [found, is_new] = series_.try_emplace(connection.role + ' ' + service);
  Series& series = found->second;
  if (is_new) {
    series.sent = &metrics.counter("trivet_connections_sent_bytes_total",
                                   "Payload sent by connections that have ended", labels);
    series.received = &metrics.counter("trivet_connections_received_bytes_total",
                                       "Payload received by connections that have ended", labels);
    series.retransmits =
        &metrics.counter("trivet_connections_retransmits_total",
                         "Segments sent again by connections that have ended", labels);
    series.rtt = &metrics.histogram("trivet_connections_rtt_seconds",
                                    "Smoothed round-trip time of connections when they ended",
                                    rtt_bounds, labels);
  }
  Counter*& closed = series.closed[connection.end];
  if (!closed) {
    closed = &metrics.counter(
        "trivet_connections_closed_total", "TCP connections that have ended",
        {{"end", connection.end}, {"role", connection.role}, {"service_name", service}});
  }
  closed->add();
  series.sent->add(static_cast<double>(connection.sent_bytes));
  series.received->add(static_cast<double>(connection.received_bytes));
  series.retransmits->add(connection.retransmits);
  if (connection.rtt.ns > 0) series.rtt->observe(static_cast<double>(connection.rtt.ns) / 1e9);
}

}  // namespace trivet::tracing
