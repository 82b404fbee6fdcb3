// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>
#include <set>
#include <thread>

#include "control/peer.h"
#include "http/connection.h"
#include "http/documents.h"

namespace trivet {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol>;

// Without free descriptors accept() fails while the listener stays readable: pause for a moment.
constexpr std::chrono::milliseconds kAcceptPause{200};
// How long, and how many at most, sockets of clients that were turned away stay open.
constexpr std::chrono::milliseconds kFarewell{500};
constexpr unsigned kMaxFarewells = 64;
// A client that vanished without a word is missed after a minute and a half.
constexpr int kKeepIdleSeconds = 60, kKeepIntervalSeconds = 10, kKeepProbes = 3;

asio::ip::address asio_address(const IpAddress& address) {
  if (address.family == 4) {
    asio::ip::address_v4::bytes_type bytes;
    std::copy_n(address.bytes.begin(), bytes.size(), bytes.begin());
    return asio::ip::address_v4(bytes);
  }
  asio::ip::address_v6::bytes_type bytes;
  std::copy_n(address.bytes.begin(), bytes.size(), bytes.begin());
  return asio::ip::address_v6(bytes);
}

Error cannot_listen(const ListenAddress& listen, const ErrorCode& error) {
  const std::string remedy =
      error == asio::error::address_in_use
          ? "another program has the port: stop it or set api.listen to another"
      : error.value() == EADDRNOTAVAIL
          ? "no interface of this host has the address: set api.listen to one"
          : "set api.listen to another address or port";
  Error sentence = system_error(error.value(), "cannot serve the API at " + listen.to_string());
  sentence.message += "; " + remedy;
  return sentence;
}

void set_up_tcp(int socket) {
  const auto set = [socket](int level, int name, int value) {
    // Without one of these it works as well as without them.
    (void)setsockopt(socket, level, name, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepProbes);
}

}  // namespace

class ApiServer::Loop {
 public:
  Loop(std::shared_ptr<asio::io_context> io, const ApiSources& sources, const ApiOptions& options)
      : service_{std::move(io),
                 sources,
                 options,
                 {},
                 std::make_shared<QueryRunner>(sources.queries, options.max_queries)} {}

  ~Loop() {
    if (thread_.joinable()) {
      service_.io->stop();
      thread_.join();
    }
    for (auto& listener : listeners_) {
      if (!listener) continue;
      ErrorCode ignored;
      listener->acceptor.close(ignored);
      listener->pause.cancel();
    }
    while (!connections_.empty()) {
      const auto connection = *connections_.begin();
      connection->close();
    }
    // Operations that were cancelled hold their connections until they are told.
    service_.io->restart();
    service_.io->poll();
  }

  Result<void> listen(ApiListeners from) {
    if (from.unix_socket >= 0) {
      auto& listener = listeners_[0].emplace(*service_.io, "unix", false);
      ErrorCode error;
      listener.acceptor.assign(Protocol(AF_UNIX, 0), from.unix_socket, error);
      if (error) return system_error(error.value(), "cannot serve the API's socket");
    }
    service_.token = std::move(from.token);
    if (!from.address) return {};
    asio::ip::tcp::acceptor acceptor(*service_.io);
    const asio::ip::tcp::endpoint endpoint(asio_address(from.address->address), from.address->port);
    ErrorCode error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return cannot_listen(*from.address, error);
    port_ = acceptor.local_endpoint(error).port();
    listeners_[1].emplace(*service_.io, "tcp", true).acceptor = std::move(acceptor);
    return {};
  }

  void run() {
    for (auto& listener : listeners_) {
      if (listener) accept(*listener);
    }
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "api");
      const auto more = asio::make_work_guard(*service_.io);
      service_.io->run();
    });
  }

  std::shared_ptr<const void> queries() const { return service_.queries; }
  std::uint16_t port() const { return port_; }

  void set_token(std::string token) {
    asio::post(*service_.io, [this, token = std::move(token)] { service_.token = token; });
  }

 private:
  struct Listener {
    Listener(asio::io_context& io, std::string_view label, bool token)
        : acceptor(io), pause(io), name(label), with_token(token) {}

    Acceptor acceptor;
    asio::steady_timer pause;
    const std::string name;  // as metrics say
    const bool with_token;
    std::size_t clients = 0;
  };

  void accept(Listener& listener) {
    listener.acceptor.async_accept([this, &listener](const ErrorCode& error, ApiSocket socket) {
      if (!listener.acceptor.is_open()) return;
      if (!error) {
        try {
          admit(listener, std::move(socket));
        } catch (const std::exception& lost) {
          service_.sources.log.error("The API lost a client", {{"error", lost.what()}});
        }
        return accept(listener);
      }
      if (error == asio::error::connection_aborted || error == asio::error::interrupted) {
        return accept(listener);
      }
      service_.sources.log.warning("The API cannot accept a client", {{"error", error.message()}});
      listener.pause.expires_after(kAcceptPause);
      listener.pause.async_wait([this, &listener](const ErrorCode& cancelled) {
        if (!cancelled) accept(listener);
      });
    });
  }

  void admit(Listener& listener, ApiSocket socket) {
    if (listener.with_token) {
      set_up_tcp(socket.native_handle());
    } else if (auto access =
                   peer_access(socket.native_handle(), "the API", service_.options.groups);
               !access) {
      return turn_away(listener, std::move(socket), "permission", {403, access.error()});
    }
    if (listener.clients >= service_.options.max_clients) {
      return turn_away(listener, std::move(socket), "limit",
                       {503, Error{"trivet serves " + std::to_string(listener.clients) +
                                   " clients here already: close one"}});
    }
    auto made = std::make_shared<std::weak_ptr<ApiConnection>>();
    auto connection = std::make_shared<ApiConnection>(
        std::move(socket), service_, listener.with_token,
        [this, &listener, made] { forget(listener, made->lock()); });
    *made = connection;
    connections_.insert(connection);
    count(listener, +1);
    connection->start();
  }

  void forget(Listener& listener, const std::shared_ptr<ApiConnection>& connection) {
    connections_.erase(connection);
    count(listener, -1);
  }

  void count(Listener& listener, int change) {
    listener.clients += static_cast<std::size_t>(change);
    service_.sources.metrics
        .gauge("trivet_api_connections", "Connections to the API", {{"listener", listener.name}})
        .set(static_cast<double>(listener.clients));
  }

  // Tells a client at once why it is not served, as far as the socket takes it. The socket stays
  // open for a moment: a client that looks only then would take a closed one for none.
  void turn_away(Listener& listener, ApiSocket socket, const char* reason, const Refusal& refusal) {
    service_.sources.metrics
        .counter("trivet_api_refused_total", "Connections to the API that were not served",
                 {{"listener", listener.name}, {"reason", reason}})
        .add();
    const std::string body = error_json(refusal.error);
    const std::string text = write_head({.status = refusal.status, .length = body.size()}) + body;
    (void)send(socket.native_handle(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(socket.native_handle(), SHUT_WR);
    if (farewells_ == kMaxFarewells) return;
    ++farewells_;
    auto held = std::make_shared<ApiSocket>(std::move(socket));
    auto timer = std::make_shared<asio::steady_timer>(*service_.io, kFarewell);
    timer->async_wait([this, held, timer](const ErrorCode&) { --farewells_; });
  }

  ApiService service_;
  std::array<std::optional<Listener>, 2> listeners_;
  std::uint16_t port_ = 0;
  std::set<std::shared_ptr<ApiConnection>> connections_;
  unsigned farewells_ = 0;
  std::thread thread_;
};

Result<std::unique_ptr<ApiServer>> ApiServer::start(ApiListeners listeners,
                                                    const ApiSources& sources,
                                                    const ApiOptions& options) {
  try {
    auto loop = std::make_unique<Loop>(std::make_shared<asio::io_context>(1), sources, options);
    if (auto listening = loop->listen(std::move(listeners)); !listening) return listening.error();
    loop->run();
    return std::unique_ptr<ApiServer>(new ApiServer(std::move(loop)));
  } catch (const std::exception& error) {
    return Error{std::string("cannot serve the API: ") + error.what()};
  }
}

ApiServer::ApiServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

ApiServer::~ApiServer() = default;

std::shared_ptr<const void> ApiServer::queries() const {
  return loop_->queries();
}

std::uint16_t ApiServer::port() const {
  return loop_->port();
}

void ApiServer::set_token(std::string token) {
  loop_->set_token(std::move(token));
}

}  // namespace trivet
