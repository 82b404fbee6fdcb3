// SPDX-License-Identifier: Apache-2.0
// The daemon's end of the control socket: see docs/control-protocol.md. One thread serves all
// clients; a second one runs the verbs, which may wait for a plugin. A client that does not read is
// no burden to the others: its queue of records is bounded and drops the oldest, counted and told.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/byte_source.h"
#include "control/peer.h"
#include "control/request.h"
#include "query/engine.h"
#include "records/format.h"
#include "records/tables.h"
#include "trivet/log.h"
#include "trivet/result.h"

namespace trivet {

// Runs a verb, such as "status" or "policy show": JSON text, or an error for the person who asked.
// The core's own verbs come only where they are granted, those of plugins are judged here.
using Dispatch = std::function<Result<std::string>(
    const std::string& verb, const std::vector<std::string>&, Access granted)>;

// Begins a capture, which calls the function whenever it has bytes, on any thread.
using BeginCapture = std::function<Result<std::shared_ptr<ByteSource>>(const CaptureRequest&,
                                                                       std::function<void()> wake)>;

struct ControlOptions {
  SocketGroups groups;
  std::size_t max_clients = 64;
  std::size_t reserved = 8;     // of these, for who may change something
  std::size_t max_queries = 4;  // at a time
  std::size_t max_request_bytes = 64 << 10;
  // Of clients that may change things: they send policies.
  std::size_t max_write_request_bytes = 8 << 20;
  FollowerLimits follower{4096, 16 << 20};  // what waits for one client
  std::size_t output_bytes = 1 << 20;  // that wait in one client's buffer before rows are held back
};

struct ControlCounts {
  std::uint64_t clients = 0;  // now
  std::uint64_t requests = 0;
  std::uint64_t refused = 0;       // peers without the right, or above max_clients
  std::uint64_t dropped_rows = 0;  // that slow clients did not get
};

class ControlServer {
 public:
  // Serves a listening Unix socket, which it owns from now on. `dispatch` is called on the server's
  // verb thread, one verb at a time, `capture` on the thread of the clients. Everything else that
  // is passed must outlive the server.
  static Result<std::unique_ptr<ControlServer>> start(int listener, Tables& tables,
                                                      OriginNow origin, Dispatch dispatch,
                                                      BeginCapture capture,
                                                      const QueryEngine& queries, Log& log,
                                                      const ControlOptions& options);
  // Closes all connections and joins all threads, waiting for a verb that is running and for
  // queries to end.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;

  // While somebody holds this, the server's end cancels its queries and does not wait for them: the
  // last holder's release does.
  std::shared_ptr<const void> queries() const;

  // Any thread.
  ControlCounts counts() const;

 private:
  class Loop;
  explicit ControlServer(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace trivet
