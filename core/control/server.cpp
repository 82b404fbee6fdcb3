// SPDX-License-Identifier: Apache-2.0
#include "control/server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <thread>

#include "control/connection.h"
#include "control/peer.h"
#include "control/request.h"
#include "control/verb_runner.h"
#include "control/verbs.h"
#include "query/query_runner.h"
#include "trivet/records/flow.h"

namespace trivet {
namespace {

// A descriptor that several owners share; the last one closes it.
struct Descriptor {
  const int number;
  explicit Descriptor(int n) : number(n) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() { close(number); }
};

void signal(const Descriptor& event) {
  std::uint64_t one = 1;
  // A full counter wakes just as well.
  [[maybe_unused]] ssize_t written = write(event.number, &one, sizeof(one));
}

}  // namespace

class ControlServer::Loop {
 public:
  Loop(int listener, int epoll, int wake, Tables& tables, OriginNow origin, Dispatch dispatch,
       BeginCapture capture, const QueryEngine& queries, Log& log, const ControlOptions& options)
      : listener_(listener),
        epoll_(epoll),
        wake_(std::make_shared<Descriptor>(wake)),
        tables_(tables),
        origin_(std::move(origin)),
        log_(log),
        options_(options),
        capture_(std::move(capture)),
        queries_(std::make_shared<QueryRunner>(queries, options.max_queries)),
        verbs_(std::move(dispatch), [event = wake_] { signal(*event); }),
        thread_([this] { run(); }) {}

  ~Loop() {
    stopping_ = true;
    signal(*wake_);
    thread_.join();
    connections_.clear();
    close(listener_);
    close(epoll_);
  }

  std::shared_ptr<const void> queries() const { return queries_; }
  ControlCounts counts() const { return {clients_, requests_, refused_, dropped_rows_}; }

 private:
  using Connections = std::map<std::uint64_t, std::unique_ptr<Connection>>;

  // epoll's data for the two descriptors that are no client.
  static constexpr std::uint64_t kListener = 0, kWake = 1, kFirstClient = 2;

  void run() {
    watch(listener_, kListener, EPOLLIN);
    watch(wake_->number, kWake, EPOLLIN);
    while (!stopping_) {
      epoll_event events[64];
      int count = epoll_wait(epoll_, events, std::size(events), accepting_ ? -1 : 200);
      if (!accepting_) set_accepting(true);
      for (int i = 0; i < count; ++i) {
        std::uint64_t id = events[i].data.u64;
        if (id == kListener) {
          accept_clients();
        } else if (id == kWake) {
          woken();
        } else if (auto found = connections_.find(id); found != connections_.end()) {
          serve(found, events[i].events);
        }
      }
    }
  }

  void watch(int descriptor, std::uint64_t id, std::uint32_t events) {
    epoll_event event{events, {.u64 = id}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  }

  // Without free descriptors accept() fails while the listener stays readable: pause for a moment.
  void set_accepting(bool accepting) {
    accepting_ = accepting;
    epoll_event event{accepting ? std::uint32_t{EPOLLIN} : 0u, {.u64 = kListener}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, listener_, &event);
  }

  void accept_clients() {
    for (;;) {
      int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
          log_.warning("The control socket cannot accept a client",
                       {{"error", system_error(errno, "accept").message}});
          set_accepting(false);
        }
        return;
      }
      auto connection = std::make_unique<Connection>(socket, next_id_++);
      admit(*connection);
      watch(socket, connection->id(), 0);
      auto [added, is_new] = connections_.emplace(connection->id(), std::move(connection));
      clients_ = connections_.size();
      settle(added);
    }
  }

  // Lets the client in, or tells it why not.
  void admit(Connection& connection) {
    std::string reason;
    auto access = peer_access(connection.socket(), "the control socket", options_.groups);
    if (access) connection.grant(*access);
    if (!access) {
      reason = access.error().to_string();
    } else if (const auto most =
                   options_.max_clients - (*access == Access::write ? 0 : options_.reserved);
               connections_.size() >= most) {
      reason = "trivet serves " + std::to_string(most) + " clients already: close one";
    }
    if (reason.empty()) return;
    ++refused_;
    connection.send(write_error(Error{reason, EACCES, {}}));
    connection.finish();
  }

  void woken() {
    std::uint64_t ignored;
    [[maybe_unused]] ssize_t got = read(wake_->number, &ignored, sizeof(ignored));
    for (auto& answer : verbs_.take()) {
      auto found = connections_.find(answer.client);
      if (found == connections_.end()) continue;  // it left meanwhile
      found->second->send(answer.line);
      found->second->set_waiting(false);
    }
    for (auto next = connections_.begin(); next != connections_.end();) settle(next++);
  }

  std::size_t request_limit(const Connection& connection) const {
    return connection.granted() == Access::write ? options_.max_write_request_bytes
                                                 : options_.max_request_bytes;
  }

  void serve(Connections::iterator client, std::uint32_t events) {
    Connection& connection = *client->second;
    // EPOLLHUP: the other end is closed both ways, nobody reads any more.
    if ((events & (EPOLLHUP | EPOLLERR)) != 0 ||
        ((events & EPOLLIN) != 0 && !connection.read(request_limit(connection)))) {
      remove(client);
      return;
    }
    settle(client);
  }

  // Does all that can be done for a client now, and watches for what it waits for.
  void settle(Connections::iterator client) {
    Connection& connection = *client->second;
    for (;;) {
      std::string line;
      while (connection.next_line(line)) handle(connection, line);
      dropped_rows_ += connection.fill(origin_(), options_.output_bytes);
      if (connection.unfinished()) signal(*wake_);
      if (connection.overlong(request_limit(connection))) {
        connection.send(write_error(Error{"the request is longer than " +
                                          std::to_string(request_limit(connection)) + " bytes"}));
        connection.finish();
      }
      bool had_output = connection.wants_output();
      if (!connection.flush() || connection.done()) {
        remove(client);
        return;
      }
      // Once everything is written there may be room for more rows, or the next request.
      if (!had_output || connection.wants_output()) break;
    }
    std::uint32_t events = 0;
    if (connection.wants_input(request_limit(connection))) events |= EPOLLIN;
    if (connection.wants_output()) events |= EPOLLOUT;
    if (events == connection.watched) return;
    connection.watched = events;
    epoll_event event{events, {.u64 = connection.id()}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.socket(), &event);
  }

  void remove(Connections::iterator client) {
    connections_.erase(client);
    clients_ = connections_.size();
  }

  void handle(Connection& connection, const std::string& line) {
    if (line.find_first_not_of(" \t\r") == line.npos) return;
    ++requests_;
    auto request = parse_request(line);
    if (!request) {
      connection.send(write_error(request.error()));
    } else if (const auto* verb = find_core_verb(request->verb);
               verb && verb->access == Access::write && connection.granted() != Access::write) {
      connection.send(write_error(needs_write(request->verb, options_.groups)));
    } else if (request->capture) {
      auto source = capture_(*request->capture, [event = wake_] { signal(*event); });
      connection.send(source ? write_capture() : write_error(source.error()));
      if (source) connection.send_all(std::move(*source));
    } else if (request->observe) {
      observe(connection, *request->observe);
    } else if (request->query) {
      auto job = queries_->start(std::move(*request->query), 0, write_rows(),
                                 [event = wake_] { signal(*event); });
      if (job) {
        connection.answer(std::move(*job));
      } else {
        connection.send(write_error(job.error()));
      }
    } else {
      connection.set_waiting(true);
      verbs_.run(connection.id(), std::move(*request), connection.granted());
    }
  }

  void observe(Connection& connection, const ObserveRequest& request) {
    auto names = tables_.resolve(request.table);
    if (names.empty()) {
      connection.send(write_error(tables_.unknown(request.table)));
      return;
    }
    const bool falco =
        request.format == RecordFormat::falco || request.format == RecordFormat::text;
    const auto only = [&](const RecordSchema& schema) {
      return names == std::vector<std::string>{std::string(schema.table)};
    };
    if ((falco && !only(Alert::schema())) ||
        (request.format == RecordFormat::hubble && !only(Flow::schema()))) {
      connection.send(write_error(
          Error{"the formats falco and text are for alerts, and hubble is for flows: write "
                "compact or json for " +
                request.table}));
      return;
    }
    std::vector<const RecordSchema*> schemas;
    for (const auto& state : tables_.states())
      if (std::ranges::find(names, state.schema->table) != names.end())
        schemas.push_back(state.schema);
    auto filter = RecordFilter::create(request.wish, schemas);
    if (!filter) {
      connection.send(write_error(filter.error()));
      return;
    }
    // Followed first, then looked at: what comes between the two is seen twice, and told once.
    std::shared_ptr<Follower> follower;
    if (request.follow)
      follower = tables_.follow(names, options_.follower, 0, [event = wake_] { signal(*event); });
    auto scan =
        std::make_unique<RecordScan>(tables_.spans(names), *filter, request.limit, request.first);
    connection.stream(request, std::move(*filter), std::move(scan), std::move(follower));
  }

  const int listener_;
  const int epoll_;
  // Shared with followers, which a plugin may still be filling when the server has gone.
  const std::shared_ptr<const Descriptor> wake_;
  Tables& tables_;
  const OriginNow origin_;
  Log& log_;
  const ControlOptions options_;
  const BeginCapture capture_;

  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> clients_ = 0, requests_ = 0, refused_ = 0, dropped_rows_ = 0;

  // The loop thread's own.
  Connections connections_;
  std::uint64_t next_id_ = kFirstClient;
  bool accepting_ = true;

  const std::shared_ptr<QueryRunner> queries_;
  VerbRunner verbs_;
  std::thread thread_;
};

Result<std::unique_ptr<ControlServer>> ControlServer::start(int listener, Tables& tables,
                                                            OriginNow origin, Dispatch dispatch,
                                                            BeginCapture capture,
                                                            const QueryEngine& queries, Log& log,
                                                            const ControlOptions& options) {
  fcntl(listener, F_SETFL, O_NONBLOCK);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int wake = epoll < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake < 0) {
    auto error = system_error(errno, "cannot serve the control socket");
    if (epoll >= 0) close(epoll);
    close(listener);
    return error;
  }
  return std::unique_ptr<ControlServer>(new ControlServer(
      std::make_unique<Loop>(listener, epoll, wake, tables, std::move(origin), std::move(dispatch),
                             std::move(capture), queries, log, options)));
}

ControlServer::ControlServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

ControlServer::~ControlServer() = default;

std::shared_ptr<const void> ControlServer::queries() const {
  return loop_->queries();
}

ControlCounts ControlServer::counts() const {
  return loop_->counts();
}

}  // namespace trivet
