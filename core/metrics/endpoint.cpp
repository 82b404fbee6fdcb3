// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>

#include "metrics/registry.h"
#include "metrics/registry_state.h"
#include "trivet/value.h"

namespace trivet {
namespace {

// Binds for a moment, since the HTTP server does not tell why it could not.
Result<void> try_bind(const ListenAddress& listen) {
  sockaddr_storage storage{};
  socklen_t size;
  if (listen.address.family == 4) {
    auto& address = reinterpret_cast<sockaddr_in&>(storage);
    address.sin_family = AF_INET;
    address.sin_port = htons(listen.port);
    std::memcpy(&address.sin_addr, listen.address.bytes.data(), 4);
    size = sizeof(address);
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(storage);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(listen.port);
    std::memcpy(&address.sin6_addr, listen.address.bytes.data(), 16);
    size = sizeof(address);
  }
  int descriptor = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return system_error(errno, "cannot make a socket for metrics");
  int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  int failed = 0;
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&storage), size) != 0 ||
      ::listen(descriptor, 1) != 0) {
    failed = errno;
  }
  close(descriptor);
  if (failed == 0) return {};
  std::string remedy =
      failed == EADDRINUSE
          ? "another program has the port: stop it or set metrics.listen to another"
      : failed == EADDRNOTAVAIL
          ? "no interface of this host has the address: set metrics.listen to one"
          : "set metrics.listen to another address or port";
  auto error = system_error(failed, "cannot serve metrics at " + listen.to_string());
  error.message += "; " + remedy;
  return error;
}

}  // namespace

// One connection takes one thread until it has sent its request. So these, and a short patience,
// say how many idle ones it takes to keep a scraper from its answer.
constexpr const char* kThreads = "32";
constexpr const char* kPatienceMs = "1000";

// The HTTP server, and what it collects from.
class MetricsEndpoint::Server {
 public:
  Server(std::shared_ptr<Registry::State> state, const std::string& listen)
      : state_(std::move(state)),
        exposer_(std::vector<std::string>{"listening_ports", listen, "num_threads", kThreads,
                                          "request_timeout_ms", kPatienceMs}) {
    exposer_.RegisterCollectable(state_);
    exposer_.RegisterCollectable(process_);
  }
  std::uint16_t port() const {
    auto ports = exposer_.GetListeningPorts();
    return ports.empty() ? 0 : static_cast<std::uint16_t>(ports.front());
  }

 private:
  std::shared_ptr<Registry::State> state_;
  std::shared_ptr<ProcessMetrics> process_ = std::make_shared<ProcessMetrics>();
  prometheus::Exposer exposer_;
};

Result<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::start(Registry& registry,
                                                                const ListenAddress& listen) {
  if (auto free = try_bind(listen); !free) return std::move(free).error();
  try {
    auto server = std::make_unique<Server>(registry.state_, listen.to_string());
    return std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(std::move(server)));
  } catch (const std::exception& error) {
    return Error{"cannot serve metrics at " + listen.to_string() + ": " + error.what()};
  }
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<Server> server) : server_(std::move(server)) {}

MetricsEndpoint::~MetricsEndpoint() = default;

std::uint16_t MetricsEndpoint::port() const {
  return server_->port();
}

}  // namespace trivet
