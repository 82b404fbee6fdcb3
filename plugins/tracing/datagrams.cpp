// SPDX-License-Identifier: Apache-2.0
#include "tracing/datagrams.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace trivet::tracing {

bool Datagrams::Key::operator==(const Key& other) const {
  return cookie == other.cookie && id == other.id && direction == other.direction &&
         std::memcmp(&ends, &other.ends, sizeof(ends)) == 0;
}

std::size_t Datagrams::Hash::operator()(const Key& key) const {
  const std::string_view ends(reinterpret_cast<const char*>(&key.ends), sizeof(key.ends));
  return std::hash<std::string_view>()(ends) ^
         std::hash<std::uint64_t>()(key.cookie << 17 ^ key.id << 1 ^ key.direction);
}

Datagrams::Datagrams(std::uint64_t timeout_ns, std::function<void(DnsRequest)> publish)
    : timeout_ns_(timeout_ns), publish_(std::move(publish)) {}

void Datagrams::on_datagram(const socket_payload_event& event, std::string_view bytes) {
  now_ns_ = std::max<std::uint64_t>(now_ns_, event.header.time_ns);
  ++counts_.seen;
  auto message = read_dns(bytes);
  if (!message) return;
  const std::uint64_t time_ns = event.header.time_ns;
  const auto direction =
      static_cast<std::uint8_t>(message->response ? event.direction ^ 1 : event.direction);
  const Key key{event.header.socket_cookie, event.ends, message->id, direction};
  const auto found = queries_.find(key);
  if (message->response) {
    if (found == queries_.end() || !found->second->query.asks(*message)) {
      ++counts_.unmatched;
      return;
    }
    found->second->query.answer(*message, event.payload_bytes, time_ns, time_ns);
    finish(found->second);
    return;
  }
  if (found != queries_.end()) {
    // Sent again: the first one's time counts. Another question took the id over.
    if (found->second->query.asks(*message)) return;
    give_up(found->second, "superseded");
  }
  if (queries_.size() >= max_queries) {
    ++counts_.evicted;
    give_up(by_age_.begin(), "capacity");
  }
  DnsQuery query = DnsQuery::of(*message, event.payload_bytes, time_ns, time_ns);
  DnsRequest& r = query.record;
  r.role = event.direction == PAYLOAD_RECEIVED ? "server" : "client";
  r.transport = "udp";
  r.socket_cookie = key.cookie;
  r.local_address = IpAddress::v6(event.ends.local_address);
  r.local_port = event.ends.local_port;
  r.peer_address = IpAddress::v6(event.ends.peer_address);
  r.peer_port = event.ends.peer_port;
  queries_[key] = by_age_.insert(by_age_.end(), Pending{key, std::move(query)});
}

void Datagrams::on_owner(const socket_owner_event& event, const ProcessRef& process) {
  const std::uint64_t cookie = event.header.socket_cookie;
  auto found = socket_of_.find(cookie);
  if (found == socket_of_.end()) {
    if (sockets_.size() >= max_sockets) {
      socket_of_.erase(sockets_.front().cookie);
      sockets_.pop_front();
    }
    sockets_.push_back({cookie, {}});
    found = socket_of_.emplace(cookie, std::prev(sockets_.end())).first;
  } else {
    sockets_.splice(sockets_.end(), sockets_, found->second);
  }
  found->second->owners[event.direction & 1] = {process, task_key(event.header.task),
                                                event.header.cgroup_id};
}

void Datagrams::tick(std::uint64_t now_ns) {
  now_ns_ = std::max(now_ns_, now_ns);
  while (!by_age_.empty() && by_age_.front().query.record.time.boot_ns + timeout_ns_ <= now_ns_) {
    give_up(by_age_.begin(), "timeout");
  }
}

void Datagrams::give_up(std::list<Pending>::iterator pending, const char* error) {
  pending->query.give_up(error, now_ns_);
  finish(pending);
}

void Datagrams::finish(std::list<Pending>::iterator pending) {
  DnsRequest& r = pending->query.record;
  const auto socket = socket_of_.find(pending->key.cookie);
  // Who received the query on a server's socket, who sent it on a client's.
  const Owner* owner =
      socket == socket_of_.end() ? nullptr : &socket->second->owners[pending->key.direction];
  if (owner && owner->key.tgid != 0) {
    r.pid = owner->key.tgid;
    r.process_start_ns = owner->key.start_ns;
    r.process_exec_count = owner->key.exec_count;
    r.cgroup_id = owner->cgroup_id;
    set_process(r, owner->process);
  } else {
    ++counts_.unowned;
  }
  publish_(std::move(r));
  queries_.erase(pending->key);
  by_age_.erase(pending);
}

}  // namespace trivet::tracing
