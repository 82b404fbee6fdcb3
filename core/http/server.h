// SPDX-License-Identifier: Apache-2.0
// The read-only HTTP API: docs/api.md. One thread serves all clients of a Unix socket and of a TCP
// address; each query runs on a thread of its own. A client that does not read makes its query
// wait, or loses records of its stream, counted and told; it delays nobody else.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/listen_address.h"
#include "control/peer.h"
#include "query/engine.h"
#include "records/format.h"
#include "records/tables.h"
#include "trivet/log.h"
#include "trivet/metrics.h"
#include "trivet/result.h"

namespace trivet {

struct ApiOptions {
  SocketGroups groups;                     // of the Unix socket: whoever may read
  std::size_t max_clients = 64;            // of each listener
  std::size_t max_queries = 4;             // at a time
  FollowerLimits follower{4096, 8 << 20};  // what waits for one stream
  std::size_t output_bytes = 256 << 10;    // and at most about this much of it as text

  // A request must be complete so long after its first byte, or after the client connected.
  std::chrono::milliseconds request_patience{10'000};
  std::chrono::milliseconds idle_patience{60'000};  // between two requests
  // A client that takes nothing of its answer for so long is gone.
  std::chrono::milliseconds write_patience{30'000};
  // So long for what is left when nothing more will come.
  std::chrono::milliseconds rest_patience{60'000};
};

// What the answers are made of. All of it must outlive the server.
struct ApiSources {
  Tables& tables;
  const QueryEngine& queries;
  OriginNow origin;
  std::function<std::string()> status;  // a JSON text; called on the server's thread
  Metrics& metrics;
  Log& log;
};

// Where clients come from.
struct ApiListeners {
  int unix_socket = -1;                  // listening; owned by the server from now on. -1: none
  std::optional<ListenAddress> address;  // the server binds it
  std::string token;                     // what clients of the address must send
};

class ApiServer {
 public:
  // Error if the address cannot be had.
  static Result<std::unique_ptr<ApiServer>> start(ApiListeners listeners, const ApiSources& sources,
                                                  const ApiOptions& options);
  // Closes all connections and joins all threads, waiting for queries to end.
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;

  // While somebody holds this, the server's end cancels its queries and does not wait for them: the
  // last holder's release does.
  std::shared_ptr<const void> queries() const;
  // Of the TCP address; 0 if there is none.
  std::uint16_t port() const;
  // From now on clients of the address must send this one. Any thread.
  void set_token(std::string token);

 private:
  class Loop;
  explicit ApiServer(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace trivet
