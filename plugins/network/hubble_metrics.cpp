// SPDX-License-Identifier: Apache-2.0
#include "network/hubble_metrics.h"

#include <netinet/in.h>

#include <algorithm>
#include <set>

namespace trivet::network {

namespace {

// What hostile peers can invent is not remembered without end; the registry caps series by itself.
constexpr std::size_t kMostKnown = 2048;

// The names that Hubble gives the codes of RFC 1035, 2136 and 6891, by their mnemonics.
constexpr std::pair<std::string_view, std::string_view> kCodes[] = {
    {"NOERROR", "No Error"},
    {"FORMERR", "Format Error"},
    {"SERVFAIL", "Server Failure"},
    {"NXDOMAIN", "Non-Existent Domain"},
    {"NOTIMP", "Not Implemented"},
    {"REFUSED", "Query Refused"},
    {"YXDOMAIN", "Name Exists when it should not"},
    {"YXRRSET", "RR Set Exists when it should not"},
    {"NXRRSET", "RR Set that should exist does not"},
    {"NOTAUTH", "Not Authorized"},
    {"NOTZONE", "Name not contained in zone"},
    {"BADVERS", "Bad OPT Version"},
};

std::string code_name(const std::string& mnemonic) {
  const auto* found =
      std::ranges::find(kCodes, mnemonic, &std::pair<std::string_view, std::string_view>::first);
  return std::string(found == std::end(kCodes) ? mnemonic : found->second);
}

// As Prometheus' client library has them by default, which is what Hubble uses.
const std::vector<double> kBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

std::string key_of(const Labels& labels) {
  std::string key;
  for (const auto& [name, value] : labels) key += value + '\0';
  return key;
}

std::string protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_TCP:
      return "TCP";
    case IPPROTO_UDP:
      return "UDP";
    case IPPROTO_ICMP:
      return "ICMPv4";
    case IPPROTO_ICMPV6:
      return "ICMPv6";
    default:
      return "";
  }
}

bool loopback(const IpAddress& address) {
  return address.family == 4 ? address.bytes[0] == 127 : address == *IpAddress::parse("::1");
}

}  // namespace

HubbleMetrics::HubbleMetrics(Host& host) : host_(host) {
  host.on_record<HttpRequest>([this](const HttpRequest& request) { count(request); });
  host.on_record<DnsRequest>([this](const DnsRequest& request) { count(request); });
}

Counter& HubbleMetrics::counter(Counters& known, const char* name, const char* help,
                                const Labels& labels) {
  const std::string key = key_of(labels);
  if (const auto found = known.find(key); found != known.end()) return *found->second;
  Counter& made = host_.metrics().counter(name, help, labels);
  if (known.size() < kMostKnown) known.emplace(key, &made);
  return made;
}

void HubbleMetrics::count(const HttpRequest& request) {
  if (!request.status) return;  // Hubble counts responses
  const Labels by_method{{"method", request.method}, {"reporter", request.role}};
  Labels labels = by_method;
  labels.insert(labels.end(), {{"protocol", "HTTP/" + request.version},
                               {"status", std::to_string(*request.status)}});
  counter(requests_, "hubble_http_requests_total", "HTTP requests that were answered", labels)
      .add();

  const std::string key = key_of(by_method);
  auto found = durations_.find(key);
  Histogram* histogram =
      found != durations_.end()
          ? found->second
          : &host_.metrics().histogram("hubble_http_request_duration_seconds",
                                       "Duration of HTTP requests", kBounds, by_method);
  if (found == durations_.end() && durations_.size() < kMostKnown) durations_[key] = histogram;
  histogram->observe(static_cast<double>(request.latency.ns) / 1e9);
}

void HubbleMetrics::count(const DnsRequest& request) {
  const std::string& type = request.question_type;
  counter(queries_, "hubble_dns_queries_total", "DNS queries",
          {{"rcode", ""}, {"qtypes", type}, {"ips_returned", "0"}})
      .add();
  if (request.response_code.empty()) return;
  std::set<std::string> types;
  int addresses = 0;
  for (const auto& answer : request.answers) {
    const std::string answered = answer.substr(0, answer.find(' '));
    if (answered == "A" || answered == "AAAA") ++addresses;
    types.insert(answered);
  }
  counter(responses_, "hubble_dns_responses_total", "DNS responses",
          {{"rcode", code_name(request.response_code)},
           {"qtypes", type},
           {"ips_returned", std::to_string(addresses)}})
      .add();
  for (const auto& answered : types)
    counter(types_, "hubble_dns_response_types_total", "Types of records in DNS responses",
            {{"type", answered}, {"qtypes", type}})
        .add();
}

void HubbleMetrics::count(const flow_event& event) {
  const std::string protocol = protocol_name(event.protocol);
  if (protocol.empty()) return;
  const bool egress = event.direction == FLOW_EGRESS, dropped = event.verdict == FLOW_DROPPED;
  const bool has_ports = event.protocol == IPPROTO_TCP || event.protocol == IPPROTO_UDP;
  if (!dropped)
    counter(
        ports_, "hubble_port_distribution_total", "Flow events by destination port",
        {{"protocol", protocol},
         {"port", !has_ports ? "0" : std::to_string(egress ? event.peer_port : event.local_port)}})
        .add();
  if (egress && !loopback(IpAddress::v6(event.peer_address)))
    counter(world_, "hubble_flows_to_world_total", "Flow events to other hosts",
            {{"protocol", protocol}, {"verdict", dropped ? "DROPPED" : "FORWARDED"}})
        .add();
}

}  // namespace trivet::network
