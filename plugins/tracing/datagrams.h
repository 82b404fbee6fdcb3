// SPDX-License-Identifier: Apache-2.0
// DNS in datagrams: queries under way by socket, peer and id, and the processes that own the
// sockets. Bounded in number; what goes for lack of room is told and counted. Owned by the plugin;
// its worker thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <string_view>
#include <unordered_map>

#include "tracing/dns.h"
#include "tracing/payload.h"
#include "trivet/host.h"

namespace trivet::tracing {

struct DatagramCounts {
  std::uint64_t seen = 0;
  std::uint64_t evicted = 0;    // queries given up for lack of room
  std::uint64_t unmatched = 0;  // responses to no query that was seen
  std::uint64_t unowned = 0;    // records whose process did not become known
};

class Datagrams {
 public:
  static constexpr std::size_t max_queries = 16384;
  static constexpr std::size_t max_sockets = 16384;

  // `publish` gets each record.
  Datagrams(std::uint64_t timeout_ns, std::function<void(DnsRequest)> publish);

  void on_datagram(const socket_payload_event& event, std::string_view bytes);
  void on_owner(const socket_owner_event& event, const ProcessRef& process);
  // Time passes: call some times each second. `now_ns` on CLOCK_BOOTTIME.
  void tick(std::uint64_t now_ns);

  const DatagramCounts& counts() const { return counts_; }
  std::size_t outstanding() const { return queries_.size(); }

 private:
  // What a response has in common with its query, which goes the other way.
  struct Key {
    std::uint64_t cookie;
    socket_ends ends;
    std::uint16_t id;
    std::uint8_t direction;  // of the query
    bool operator==(const Key& other) const;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Pending {
    Key key;
    DnsQuery query;
  };
  struct Owner {
    ProcessRef process;
    TaskKey key;
    std::uint64_t cgroup_id = 0;
  };
  struct Socket {
    std::uint64_t cookie;
    Owner owners[2];  // by direction
  };

  void finish(std::list<Pending>::iterator pending);
  void give_up(std::list<Pending>::iterator pending, const char* error);

  std::uint64_t timeout_ns_;
  std::function<void(DnsRequest)> publish_;
  DatagramCounts counts_;
  std::list<Pending> by_age_;  // the oldest first
  std::unordered_map<Key, std::list<Pending>::iterator, Hash> queries_;
  std::list<Socket> sockets_;  // the one whose owner changed longest ago first
  std::unordered_map<std::uint64_t, std::list<Socket>::iterator> socket_of_;
  std::uint64_t now_ns_ = 0;
};

}  // namespace trivet::tracing
