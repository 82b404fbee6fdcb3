// SPDX-License-Identifier: Apache-2.0
// The daemon's metrics and their HTTP endpoint. The one place that includes the Prometheus library.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "config/listen_address.h"
#include "trivet/metrics.h"
#include "trivet/result.h"

namespace trivet {

// Every series of the process. Thread-safe. Outlives the Metrics that it made.
class Registry {
 public:
  // `max_series`: label sets that one name may have before further ones share "other".
  explicit Registry(std::size_t max_series);
  ~Registry();
  Registry(const Registry&) = delete;

  void set_max_series(std::size_t max_series);

  // A Metrics whose series vanish when it is destroyed, unless another scope has the same ones.
  std::unique_ptr<Metrics> scope();

  // What a scrape would answer, in Prometheus' text format.
  std::string text() const;

 private:
  friend class MetricsEndpoint;
  friend class Scope;
  class State;
  std::shared_ptr<State> state_;
};

// Serves http://<listen>/metrics on threads of its own until it is destroyed.
class MetricsEndpoint {
 public:
  // `listen` is address:port; port 0 takes a free one. Error if the address is none of this host's
  // or the port is taken.
  static Result<std::unique_ptr<MetricsEndpoint>> start(Registry& registry,
                                                        const ListenAddress& listen);
  ~MetricsEndpoint();
  std::uint16_t port() const;

 private:
  class Server;
  explicit MetricsEndpoint(std::unique_ptr<Server> server);
  std::unique_ptr<Server> server_;
};

}  // namespace trivet
