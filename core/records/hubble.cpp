// SPDX-License-Identifier: Apache-2.0
#include "records/hubble.h"

#include "text/escape.h"

namespace trivet {

namespace {

// Event types of monitor events in Cilium's API: pkg/monitor/api.
constexpr int kDrop = 1, kTrace = 4, kPolicyVerdict = 5;
// Reserved identities there: pkg/identity.
constexpr int kHost = 1, kWorld = 2;

class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  ~Object() { out_ += '}'; }
  Object(const Object&) = delete;

  std::string& member(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json_string(out_, name);
    return out_ += ':';
  }
  void text(std::string_view name, std::string_view value) {
    append_json_string(member(name), value);
  }
  void number(std::string_view name, std::int64_t value) { member(name) += std::to_string(value); }
  // 64 bits are text in protobuf's JSON.
  void wide(std::string_view name, std::uint64_t value) { text(name, std::to_string(value)); }

 private:
  std::string& out_;
  bool first_ = true;
};

bool loopback(const IpAddress& address) {
  static const auto kSix = IpAddress::parse("::1");
  return address.family == 4 ? address.bytes[0] == 127 : address == *kSix;
}

void append_labels(std::string& out, const std::vector<std::string>& labels) {
  char before = '[';
  for (const auto& label : labels) {
    out += before;
    before = ',';
    append_json_string(out, label);
  }
  out += ']';
}

void append_local(std::string& out, const Flow& flow) {
  std::vector<std::string> labels{"reserved:host"};
  const auto label = [&](const char* name, const std::string& value) {
    if (!value.empty()) labels.push_back("trivet:" + std::string(name) + "=" + value);
  };
  label("process", flow.process);
  label("exe", flow.exe);
  label("uid", flow.uid ? std::to_string(*flow.uid) : "");
  label("unit", flow.unit);
  label("container", flow.container_id);
  Object endpoint(out);
  endpoint.number("identity", kHost);
  append_labels(endpoint.member("labels"), labels);
  if (flow.unit.empty()) return;
  std::string& workloads = endpoint.member("workloads") += '[';
  {
    Object workload(workloads);
    workload.text("name", flow.unit);
    workload.text("kind", "systemd");
  }
  workloads += ']';
}

void append_peer(std::string& out, const Flow& flow) {
  const bool host = loopback(flow.peer_address);
  Object endpoint(out);
  endpoint.number("identity", host ? kHost : kWorld);
  append_labels(endpoint.member("labels"), {host ? "reserved:host" : "reserved:world"});
}

void append_l4(std::string& out, const Flow& flow, std::uint16_t from, std::uint16_t to) {
  Object l4(out);
  if (flow.protocol != "tcp" && flow.protocol != "udp") {
    if (flow.protocol == "icmp") l4.member("ICMPv4") += "{}";
    if (flow.protocol == "icmpv6") l4.member("ICMPv6") += "{}";
    return;
  }
  Object ports(l4.member(flow.protocol == "tcp" ? "TCP" : "UDP"));
  ports.number("source_port", from);
  ports.number("destination_port", to);
}

void append_flow(std::string& out, const Flow& flow, const std::string& time,
                 const Origin& origin) {
  const bool egress = flow.direction == "egress", dropped = flow.verdict == "DROPPED";
  const auto& source = egress ? flow.local_address : flow.peer_address;
  const auto& destination = egress ? flow.peer_address : flow.local_address;
  Object object(out);
  object.text("time", time);
  object.text("verdict", flow.verdict);
  if (dropped) object.text("drop_reason_desc", "POLICY_DENIED");
  {
    Object ip(object.member("IP"));
    ip.text("source", source.to_string());
    ip.text("destination", destination.to_string());
    ip.text("ipVersion", flow.peer_address.family == 6 ? "IPv6" : "IPv4");
  }
  append_l4(object.member("l4"), flow, egress ? flow.local_port : flow.peer_port,
            egress ? flow.peer_port : flow.local_port);
  (egress ? append_local : append_peer)(object.member("source"), flow);
  (egress ? append_peer : append_local)(object.member("destination"), flow);
  object.text("Type", "L3_L4");
  object.text("node_name", origin.hostname);
  {
    Object type(object.member("event_type"));
    type.number("type", dropped ? kDrop : flow.verdict == "AUDIT" ? kPolicyVerdict : kTrace);
  }
  object.text("traffic_direction", egress ? "EGRESS" : "INGRESS");
  if (!dropped) object.text("trace_observation_point", egress ? "TO_NETWORK" : "TO_ENDPOINT");
  object.member("is_reply") += "false";
  object.wide("socket_cookie", flow.socket_cookie);
  object.wide("cgroup_id", flow.cgroup_id);
  std::string& policies = object.member(std::string(egress ? "egress" : "ingress") +
                                        (dropped ? "_denied_by" : "_allowed_by")) += '[';
  {
    Object policy(policies);
    policy.text("name", flow.rule);
  }
  policies += ']';
  object.text("Summary", flow.state);
}

}  // namespace

std::string to_hubble_json(const Flow& flow, const Origin& origin) {
  const std::string time = iso_time(real_ns(flow.time, origin));
  std::string out;
  {
    Object line(out);
    append_flow(line.member("flow"), flow, time, origin);
    line.text("node_name", origin.hostname);
    line.text("time", time);
  }
  return out;
}

}  // namespace trivet
