// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

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

// Serves one main until it ends. Broker thread.
class Session {
 public:
  Session(Server& server, UniqueFd socket, UniqueFd signal_fd, pid_t main)
      : server_(server),
        socket_(std::move(socket)),
        signal_fd_(std::move(signal_fd)),
        main_(main) {}

  // Main's status as waitpid(2) tells it.
  int run() {
    while (!status_) {
      pollfd wanted[] = {{signal_fd_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
      int ready = ::poll(wanted, 2, timeout_ms());
      // On every turn: a main that keeps asking keeps the time from running out in poll.
      if (deadline_ && Clock::now() >= *deadline_) ::kill(main_, SIGKILL);
      if (ready <= 0) continue;
      if (wanted[0].revents) take_signals();
      if (wanted[1].revents && !status_) serve_one();
    }
    return *status_;
  }

 private:
  int timeout_ms() const {
    if (!deadline_) return -1;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - Clock::now());
    // Once it has passed, ask again each second until main is gone.
    return left.count() > 0 ? static_cast<int>(left.count()) + 1 : 1000;
  }

  void take_signals() {
    signalfd_siginfo info{};
    if (::read(signal_fd_.get(), &info, sizeof(info)) != sizeof(info)) return;
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
  UniqueFd signal_fd_;
  pid_t main_;
  std::optional<Clock::time_point> deadline_;
  std::optional<int> status_;
};

[[noreturn]] void run_main(const BrokerOptions& options, const std::function<int(Client&)>& main,
                           pid_t broker, int socket) {
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
    Client client{UniqueFd(3)};
    status = main(client);
  }
  std::fflush(nullptr);
  // Not exit(): what was made before the fork is the broker's to clean up.
  ::_exit(status);
}

}  // namespace

Result<void> check_host() {
  if (::geteuid() != 0) {
    return Error{"trivet needs root to load kernel programs; run it with sudo", EPERM};
  }
  utsname name{};
  int major = 0;
  int minor = 0;
  ::uname(&name);
  if (std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
      (major < 6 || (major == 6 && minor < 1))) {
    return Error{"Linux " + std::string(name.release) +
                     " is too old: trivet needs 6.1 or newer, such as Debian 12's own",
                 EOPNOTSUPP};
  }
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    return Error{
        "this kernel does not describe its types (/sys/kernel/btf/vmlinux is missing): trivet "
        "needs "
        "one built with CONFIG_DEBUG_INFO_BTF, as distributions build theirs",
        EOPNOTSUPP};
  }
  return {};
}

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
    auto opened = Listener::open(name, path, options.control_group, folders);
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
  UniqueFd spill_folder;
  if (!options.spill_folder.empty()) {
    TrustedFiles folders(trusted_owners(options.build_tree), options.warn);
    auto opened =
        open_owned_folder(options.spill_folder, options.uid, options.gid, folders, "records.spill");
    if (!opened) return std::move(opened).error();
    spill_folder = std::move(*opened);
  }
  // Since 5.11 maps are charged to the cgroup instead; without CAP_SYS_RESOURCE it cannot be
  // raised.
  rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  (void)::setrlimit(RLIMIT_MEMLOCK, &unlimited);

  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return system_error(errno, "cannot connect trivet's two processes");
  }
  UniqueFd broker_end(ends[0]);
  UniqueFd main_end(ends[1]);
  ::setsockopt(broker_end.get(), SOL_SOCKET, SO_SNDTIMEO, &answer_patience,
               sizeof(answer_patience));

  sigset_t handled = signals({SIGTERM, SIGINT, SIGHUP, SIGCHLD});
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &handled, &before);
  struct RestoreSignals {
    sigset_t& mask;
    ~RestoreSignals() { ::sigprocmask(SIG_SETMASK, &mask, nullptr); }
  } restore{before};
  UniqueFd signal_fd(::signalfd(-1, &handled, SFD_CLOEXEC));
  if (!signal_fd) return system_error(errno, "cannot wait for signals");

  pid_t self = ::getpid();
  std::fflush(nullptr);
  pid_t child = ::fork();
  if (child < 0) return system_error(errno, "cannot start the main process");
  if (child == 0) run_main(options, main, self, main_end.get());
  main_end.reset();

  if (auto entered = enter_mount_namespace(); !entered && options.warn) {
    options.warn(entered.error().message);
  }
  Result<void> confined;
  if (options.confined) confined = keep_broker_capabilities();
  if (options.confined && confined) confined = filter_broker();
  if (!confined) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return std::move(confined).error();
  }
  std::map<ListenSocket, int> listeners;
  if (control) listeners.emplace(ListenSocket::control, control->fd());
  if (api) listeners.emplace(ListenSocket::api, api->fd());
  Server server(options, std::move(listeners), std::move(spill_folder));
  int status = Session(server, std::move(broker_end), std::move(signal_fd), child).run();
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return Error{"trivet's main process was ended by signal " + std::to_string(WTERMSIG(status)) +
               " (" + ::strsignal(WTERMSIG(status)) +
               "); everything it had in the kernel is removed"};
}

}  // namespace trivet::broker
