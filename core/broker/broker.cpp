// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <optional>

#include "broker/host_check.h"
#include "broker/listener.h"
#include "broker/owned_folder.h"
#include "broker/privileges.h"
#include "broker/protocol.h"
#include "broker/server.h"
#include "broker/syscall_filter.h"

namespace trivet::broker {
namespace {

using Clock = std::chrono::steady_clock;

// How long main may take to stop after SIGTERM or SIGINT before it is killed.
constexpr std::chrono::seconds stop_patience{10};
// A main that does not take its answer for so long is not one that trivet wrote.
constexpr timeval answer_patience{5, 0};

sigset_t signals(std::initializer_list<int> numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (int number : numbers) sigaddset(&set, number);
  return set;
}

// A reader that went away is an error of that write, not the end of the process.
class IgnoredPipeSignal {
 public:
  IgnoredPipeSignal() : before_(::signal(SIGPIPE, SIG_IGN)) {}
  ~IgnoredPipeSignal() { ::signal(SIGPIPE, before_); }
  IgnoredPipeSignal(const IgnoredPipeSignal&) = delete;
  IgnoredPipeSignal& operator=(const IgnoredPipeSignal&) = delete;

 private:
  sighandler_t before_;
};

// Serves one main until it ends. Borrows the descriptor of signals. Broker thread.
class Session {
 public:
  Session(Server& server, UniqueFd socket, int signal_fd, pid_t main)
      : server_(server), socket_(std::move(socket)), signal_fd_(signal_fd), main_(main) {}

  // Main's status as waitpid(2) tells it.
  int run() {
    while (!status_) {
      pollfd wanted[] = {{signal_fd_, POLLIN, 0}, {socket_.get(), POLLIN, 0}};
      int ready = ::poll(wanted, 2, timeout_ms());
      // On every turn: a main that keeps asking keeps the time from running out in poll.
      if (deadline_ && Clock::now() >= *deadline_) ::kill(main_, SIGKILL);
      if (ready <= 0) continue;
      if (wanted[0].revents) take_signals();
      if (wanted[1].revents && !status_) serve_one();
    }
    return *status_;
  }
  // Somebody asked it to end.
  bool stopping() const { return deadline_.has_value(); }

 private:
  int timeout_ms() const {
    if (!deadline_) return -1;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - Clock::now());
    // Once it has passed, ask again each second until main is gone.
    return left.count() > 0 ? static_cast<int>(left.count()) + 1 : 1000;
  }

  void take_signals() {
    signalfd_siginfo info{};
    if (::read(signal_fd_, &info, sizeof(info)) != sizeof(info)) return;
    int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) {
      int status = 0;
      if (::waitpid(main_, &status, WNOHANG) == main_) status_ = status;
      return;
    }
    // Also those of a terminal: main is in a session of its own.
    ::kill(main_, number);
    if (number == SIGHUP || deadline_) return;
    deadline_ = Clock::now() + stop_patience;
    server_.stop_loading();
  }

  void serve_one() {
    auto message = receive_message(socket_.get());
    if (message && message->bytes.empty()) return socket_.reset();
    Result<Answer> answer =
        message ? server_.answer(message->bytes) : Result<Answer>(message.error());
    auto bytes = encode(answer);
    std::span<const UniqueFd> fds;
    if (answer) fds = answer->fds;
    if (bytes.size() > max_message_bytes || fds.size() > max_message_fds) {
      bytes = encode(Result<Answer>(Error{"the answer is too large", EMSGSIZE}));
      fds = {};
    }
    if (!send_message(socket_.get(), bytes, fds)) {
      socket_.reset();
      ::kill(main_, SIGKILL);
    }
  }

  Server& server_;
  UniqueFd socket_;
  int signal_fd_;
  pid_t main_;
  std::optional<Clock::time_point> deadline_;
  std::optional<int> status_;
};

[[noreturn]] void run_main(const BrokerOptions& options, const std::function<int(Client&)>& main,
                           pid_t broker, int socket, unsigned restarts) {
  auto confined = drop_privileges(options.uid, options.gid, broker, socket);
  if (confined && options.confined) confined = filter_main();
  if (!confined) {
    std::fprintf(stderr, "trivet: %s\n", confined.error().message.c_str());
    ::_exit(1);
  }
  sigset_t child = signals({SIGCHLD});
  ::sigprocmask(SIG_UNBLOCK, &child, nullptr);
  int status = 1;
  {
    Client client{UniqueFd(3), restarts};
    status = main(client);
  }
  std::fflush(nullptr);
  // Not exit(): what was made before the fork is the broker's to clean up.
  ::_exit(status);
}

struct BegunMain {
  UniqueFd socket;  // the broker's end
  pid_t pid = 0;
};

Result<BegunMain> begin_main(const BrokerOptions& options, const std::function<int(Client&)>& main,
                             unsigned restarts) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error(errno, "cannot connect trivet's two processes");
  }
  BegunMain begun{closed_first(UniqueFd(ends[0]))};
  UniqueFd main_end(ends[1]);
  ::setsockopt(begun.socket.get(), SOL_SOCKET, SO_SNDTIMEO, &answer_patience,
               sizeof(answer_patience));
  pid_t self = ::getpid();
  std::fflush(nullptr);
  begun.pid = ::fork();
  if (begun.pid < 0) return system_error(errno, "cannot start the main process");
  if (begun.pid == 0) run_main(options, main, self, main_end.get(), restarts);
  return begun;
}

// Once the first main is there, which must not have what the broker makes for itself here.
Result<void> confine_broker(const BrokerOptions& options) {
  if (auto reached = reach_tracefs(); !reached && options.warn) {
    options.warn(reached.error().message);
  }
  if (!options.confined) return {};
  if (auto kept = keep_broker_capabilities(); !kept) return kept;
  return filter_broker();
}

// When main was started again, and whether once more makes sense: one that dies again and again
// would have its kernel programs loaded again and again.
class Restarts {
 public:
  explicit Restarts(unsigned a_minute) : a_minute_(a_minute) {}

  unsigned number() const { return number_; }
  void count() {
    number_++;
    latest_.push_back(Clock::now());
    if (latest_.size() > a_minute_) latest_.pop_front();
  }
  bool allowed() const {
    if (a_minute_ == 0) return false;
    return latest_.size() < a_minute_ || Clock::now() - latest_.front() > std::chrono::minutes(1);
  }

 private:
  const unsigned a_minute_;
  unsigned number_ = 0;
  std::deque<Clock::time_point> latest_;
};

}  // namespace

Result<int> launch(const BrokerOptions& options, const std::function<int(Client&)>& main) {
  if (auto checked = check_host(); !checked) return std::move(checked).error();
  if (auto filled = fill_standard_descriptors(); !filled) return std::move(filled).error();
  IgnoredPipeSignal ignored;
  // The first may make a folder for both, and goes last.
  std::optional<Listener> control, api;
  const auto open = [&](std::optional<Listener>& listener, const char* name,
                        const std::string& path) -> Result<void> {
    if (path.empty()) return {};
    TrustedFiles folders(trusted_owners(options.build_tree), options.warn);
    auto opened = Listener::open(name, path, {options.read_group, options.write_group}, folders);
    if (!opened) return std::move(opened).error();
    listener.emplace(std::move(*opened));
    return {};
  };
  if (auto opened = open(control, "control", options.control_socket); !opened) {
    return std::move(opened).error();
  }
  if (auto opened = open(api, "api", options.api_socket); !opened) {
    return std::move(opened).error();
  }
  // Made here, while root can still give them to main.
  for (const auto& folder : options.offer.folders) {
    TrustedFiles folders(trusted_owners(options.build_tree), options.warn);
    auto made = open_owned_folder(folder.path, options.uid, options.gid, folders, folder.setting);
    if (!made) return std::move(made).error();
  }
  // Since 5.11 maps are charged to the cgroup instead; without CAP_SYS_RESOURCE it cannot be
  // raised.
  rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  (void)::setrlimit(RLIMIT_MEMLOCK, &unlimited);

  sigset_t handled = signals({SIGTERM, SIGINT, SIGHUP, SIGCHLD});
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &handled, &before);
  struct RestoreSignals {
    sigset_t& mask;
    ~RestoreSignals() { ::sigprocmask(SIG_SETMASK, &mask, nullptr); }
  } restore{before};
  UniqueFd signal_fd(::signalfd(-1, &handled, SFD_CLOEXEC));
  if (!signal_fd) return system_error(errno, "cannot wait for signals");

  Programs programs;
  if (options.programs) {
    auto runner = Programs::with_runner(options.program_uid, options.program_gid);
    if (!runner) return std::move(runner).error();
    programs = std::move(*runner);
  }
  std::map<ListenSocket, int> listeners;
  if (control) listeners.emplace(ListenSocket::control, control->fd());
  if (api) listeners.emplace(ListenSocket::api, api->fd());
  Server server(options, programs);
  for (Restarts restarts(options.restarts_a_minute);; restarts.count()) {
    auto begun = begin_main(options, main, restarts.number());
    if (!begun) return std::move(begun).error();
    if (restarts.number() == 0) {
      if (auto confined = confine_broker(options); !confined) {
        ::kill(begun->pid, SIGKILL);
        ::waitpid(begun->pid, nullptr, 0);
        return std::move(confined).error();
      }
    }
    server.begin(listeners);
    Session session(server, std::move(begun->socket), signal_fd.get(), begun->pid);
    int status = session.run();
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    std::string ended = "trivet's main process was ended by signal " +
                        std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) +
                        ")";
    if (session.stopping() || !restarts.allowed()) {
      return Error{ended + "; everything it had in the kernel is removed"};
    }
    if (options.warn) options.warn(ended + "; it is started again, and what it enforced stays");
  }
}

}  // namespace trivet::broker
