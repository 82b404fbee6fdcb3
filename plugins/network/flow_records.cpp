// SPDX-License-Identifier: Apache-2.0
#include "network/flow_records.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace trivet::network {

namespace {

IpAddress to_address(const __u64 (&words)[2]) {
  if (words[0] == 0 && words[1] == 0) return {};
  return IpAddress::v6(words);
}

std::string protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_ICMP:
      return "icmp";
    case IPPROTO_ICMPV6:
      return "icmpv6";
    default:
      return "ip-" + std::to_string(protocol);
  }
}

// As Hubble writes it; whatever is rare is one label.
std::string protocol_label(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP ? "TCP" : protocol == IPPROTO_UDP ? "UDP" : "other";
}

const char* verdict_name(std::uint8_t verdict) {
  return verdict == FLOW_DROPPED ? "DROPPED" : verdict == FLOW_AUDIT ? "AUDIT" : "FORWARDED";
}

const char* state_name(std::uint8_t state) {
  return state == FLOW_REFUSED ? "refused by policy" : state == FLOW_CLOSED ? "closed" : "open";
}

constexpr auto kLossHelp = "Packets and connections that flow counts lack, by reason";

}  // namespace

Flow to_record(const flow_event& event, std::string_view rule) {
  Flow flow;
  flow.protocol = protocol_name(event.protocol);
  flow.direction = event.direction == FLOW_EGRESS ? "egress" : "ingress";
  flow.local_address = to_address(event.local_address);
  flow.local_port = event.local_port;
  flow.peer_address = to_address(event.peer_address);
  flow.peer_port = event.peer_port;
  flow.state = state_name(event.state);
  flow.verdict = verdict_name(event.verdict);
  flow.rule = rule;
  flow.sent_bytes = event.sent_bytes;
  flow.sent_packets = event.sent_packets;
  flow.received_bytes = event.received_bytes;
  flow.received_packets = event.received_packets;
  flow.dropped_packets = event.dropped_packets;
  flow.first_seen = Time{event.first_ns};
  flow.last_seen = Time{event.last_ns};
  return flow;
}

FlowRecords::FlowRecords(Host& host, const PolicyMaps& policy, Map& counters)
    : host_(host), policy_(policy), counters_(counters), hubble_(host) {}

void FlowRecords::handle(const Event<flow_event>& event) {
  count_processed(event.data);
  hubble_.count(event.data);
  Flow flow = to_record(event.data, policy_.rule_name(event.data.epoch, event.data.rule));
  set_subject(flow, event.data.header, event.process);
  host_.publish(std::move(flow));
}

void FlowRecords::count_processed(const flow_event& event) {
  const bool dropped = event.verdict == FLOW_DROPPED;
  auto& counter = processed_[{event.protocol, event.direction, event.verdict}];
  if (!counter) {
    counter = &host_.metrics().counter(
        "hubble_flows_processed_total", "Flow events by protocol, kind and verdict",
        {{"protocol", protocol_label(event.protocol)},
         {"type", dropped                       ? "Drop"
                  : event.verdict == FLOW_AUDIT ? "PolicyVerdict"
                                                : "Trace"},
         {"subtype", dropped                          ? "Policy denied"
                     : event.direction == FLOW_EGRESS ? "to-network"
                                                      : "to-endpoint"},
         {"verdict", verdict_name(event.verdict)}});
  }
  counter->add();
}

Result<void> FlowRecords::follow_counters() {
  std::array<double, FLOW_COUNTERS> totals{};
  std::vector<std::uint64_t> by_cpu(std::max<std::size_t>(counters_.value_size() / 8, 1));
  for (std::uint32_t index = 0; index < FLOW_COUNTERS; ++index) {
    std::ranges::fill(by_cpu, 0);
    auto found = counters_.lookup(std::as_bytes(std::span(&index, 1)),
                                  std::as_writable_bytes(std::span(by_cpu)));
    if (!found) return std::move(found).error().within("read the flow counters");
    for (const auto count : by_cpu) totals[index] += static_cast<double>(count);
  }
  Metrics& metrics = host_.metrics();
  const std::pair<flow_counter, const char*> drops[] = {{FLOW_COUNT_DROPPED_TCP, "TCP"},
                                                        {FLOW_COUNT_DROPPED_UDP, "UDP"},
                                                        {FLOW_COUNT_DROPPED_OTHER, "other"}};
  for (const auto& [counter, protocol] : drops) {
    metrics
        .counter("hubble_drop_total",
                 "Packets and calls that policy refused, counted in the kernel",
                 {{"reason", "POLICY_DENIED"}, {"protocol", protocol}})
        .follow(totals[counter]);
  }
  const std::pair<flow_counter, const char*> losses[] = {
      {FLOW_COUNT_SOCKET_UNTRACKED, "no_socket_storage"},
      {FLOW_COUNT_DATAGRAM_UNCOUNTED, "udp_flows_full"},
      {FLOW_COUNT_HANDSHAKE_EVICTED, "handshake_evicted"},
      {FLOW_COUNT_UNREADABLE, "unreadable_header"}};
  for (const auto& [counter, reason] : losses) {
    metrics.counter("trivet_network_uncounted_total", kLossHelp, {{"reason", reason}})
        .follow(totals[counter]);
  }
  metrics.gauge("trivet_network_flows_active", "Flows that opened and have not ended")
      .set(totals[FLOW_COUNT_OPENED] - totals[FLOW_COUNT_ENDED]);
  return {};
}

}  // namespace trivet::network
