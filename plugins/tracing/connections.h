// SPDX-License-Identifier: Apache-2.0
// All TCP connections that tracing follows, by socket cookie: bounded in number and in memory, the
// one that was silent longest going first. Joins payload to its conversation and to the processes
// that own the socket's two directions. Owned by the plugin; its worker thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tracing/conversation.h"
#include "tracing/payload.h"
#include "trivet/host.h"

namespace trivet::tracing {

struct ConnectionLimits {
  std::size_t connections = 65536;
  // Client bytes of deferred accepts that wait for the socket they belong to.
  std::size_t deferred_segments = 4096;
};

struct ConnectionCounts {
  std::uint64_t opened = 0;
  std::uint64_t ignored = 0;  // found to carry nothing that is followed
  std::uint64_t evicted = 0;
  std::uint64_t bytes = 0;    // of payload on the wire, as told by the kernel
  std::uint64_t unowned = 0;  // records whose process did not become known
  std::uint64_t deferred_lost = 0;
};

class Connections {
 public:
  // Where its conclusions go.
  class Outlet {
   public:
    virtual ~Outlet() = default;
    virtual void publish(AnyRequest record) = 0;
    // What the kernel shall do with this socket from now on; forget() takes it back.
    virtual void decide(std::uint64_t cookie, payload_verdict verdict) = 0;
    virtual void forget(std::uint64_t cookie) = 0;
  };

  // `options`, `shared` and `outlet` outlive it.
  Connections(const Options& options, ConnectionLimits limits, Shared& shared, Outlet& outlet);
  ~Connections();

  // `tail` is what follows the event; its first captured_bytes are taken.
  void on_payload(const socket_payload_event& event, std::string_view tail);
  void on_owner(const socket_owner_event& event, const ProcessRef& process);
  // The same with bytes that a process handed over or got, so that both are told at once.
  void on_text(const socket_payload_event& event, std::string_view tail, const ProcessRef& process);
  // Nothing of this socket is wanted.
  void refuse(std::uint64_t cookie);
  void on_close(const socket_close_event& event);
  // Time passes: call some times each second. `now_ns` on CLOCK_BOOTTIME.
  void tick(std::uint64_t now_ns);

  const ConnectionCounts& counts() const { return counts_; }
  std::size_t size() const { return connections_.size(); }

 private:
  class Connection;
  struct Deferred {
    socket_payload_event event;
    std::string bytes;
  };
  struct Decided {
    std::uint64_t cookie;
    std::uint64_t time_ns;
  };

  Connection& open(std::uint64_t cookie, const socket_ends& ends);
  void feed(Connection& connection, const socket_payload_event& event, std::string_view bytes);
  void defer(const socket_payload_event& event, std::string_view bytes);
  void join_deferred(Connection& connection);
  // Bookkeeping after anything was done to a connection; may end it.
  void settle(Connection& connection);
  void account(Connection& connection);
  void own(Connection& connection, unsigned direction, const event_header& header,
           const ProcessRef& process);
  void ignore(Connection& connection);
  void ignore(std::uint64_t cookie);
  void drop(Connection& connection);
  void evict();

  const Options& options_;
  ConnectionLimits limits_;
  Outlet& outlet_;
  ConnectionCounts counts_;
  Shared& shared_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::list<Connection*> by_activity_;  // the one silent longest first
  std::list<Connection*> unowned_;      // those with records that wait for their process
  std::deque<Deferred> deferred_;
  std::deque<Decided> decided_;  // verdicts PAYLOAD_IGNORE in the kernel's map, oldest first
  std::unordered_set<std::uint64_t> ignored_;  // the same cookies
  std::size_t deferred_bytes_ = 0;
  std::uint64_t now_ns_ = 0;  // of the newest event or tick
};

}  // namespace trivet::tracing
