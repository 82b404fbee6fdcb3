// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>

#include "metrics/registry.h"
#include "metrics/registry_state.h"
#include "trivet/value.h"

namespace trivet {
namespace {

struct Listen {
  IpAddress address;
  std::uint16_t port;
};

// "127.0.0.1:9435" or "[::1]:9435".
Result<Listen> parse_listen(const std::string& text) {
  Error wrong{"metrics.listen = \"" + text +
              "\" is no address and port: write for example 127.0.0.1:9435 or [::1]:9435"};
  std::size_t colon = text.rfind(':');
  if (colon == text.npos) return wrong;
  std::string host = text.substr(0, colon), port_text = text.substr(colon + 1);
  bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  auto address = IpAddress::parse(host);
  if (!address || brackets != (address->family == 6)) return wrong;
  unsigned port = 0;
  auto end = port_text.data() + port_text.size();
  auto parsed = std::from_chars(port_text.data(), end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end || port > 65535) return wrong;
  return Listen{*address, static_cast<std::uint16_t>(port)};
}

// Binds for a moment, since the HTTP server does not tell why it could not.
Result<void> try_bind(const Listen& listen) {
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
  std::string where = listen.address.family == 4 ? listen.address.to_string()
                                                 : "[" + listen.address.to_string() + "]";
  where += ":" + std::to_string(listen.port);
  std::string remedy =
      failed == EADDRINUSE
          ? "another program has the port: stop it or set metrics.listen to another"
      : failed == EADDRNOTAVAIL
          ? "no interface of this host has the address: set metrics.listen to one"
          : "set metrics.listen to another address or port";
  auto error = system_error(failed, "cannot serve metrics at " + where);
  error.message += "; " + remedy;
  return error;
}

}  // namespace

// The HTTP server, and what it collects from.
class MetricsEndpoint::Server {
 public:
  Server(std::shared_ptr<Registry::State> state, const std::string& listen)
      : state_(std::move(state)), exposer_(listen) {
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
                                                                const std::string& listen) {
  auto parsed = parse_listen(listen);
  if (!parsed) return std::move(parsed).error();
  if (auto free = try_bind(*parsed); !free) return std::move(free).error();
  try {
    auto server = std::make_unique<Server>(registry.state_, listen);
    return std::unique_ptr<MetricsEndpoint>(new MetricsEndpoint(std::move(server)));
  } catch (const std::exception& error) {
    return Error{"cannot serve metrics at " + listen + ": " + error.what()};
  }
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<Server> server) : server_(std::move(server)) {}

MetricsEndpoint::~MetricsEndpoint() = default;

std::uint16_t MetricsEndpoint::port() const {
  return server_->port();
}

}  // namespace trivet
