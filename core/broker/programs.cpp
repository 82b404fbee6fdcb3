// SPDX-License-Identifier: Apache-2.0
#include "broker/programs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>

#include "broker/privileges.h"
#include "broker/protocol.h"
#include "broker/wire.h"

namespace trivet::broker {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t max_text = 128 * 1024;
constexpr std::size_t max_arguments = 64;
constexpr timespec reap_interval{0, 20'000'000};
constexpr const char* runner_name = "trivet-runner";
// For programs to take in what was written to them last, and for the runner to notice.
constexpr std::chrono::seconds program_patience{2}, runner_patience{1};

[[noreturn]] void execute(const ConfiguredProgram& program, int input, pid_t runner) {
  sigset_t none;
  sigemptyset(&none);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() == runner && ::dup2(input, STDIN_FILENO) >= 0 &&
      ::dup2(STDERR_FILENO, STDOUT_FILENO) >= 0) {
    // What is ignored or blocked would stay so.
    ::signal(SIGPIPE, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    std::vector<char*> arguments;
    for (const auto& text : program.command) arguments.push_back(const_cast<char*>(text.c_str()));
    arguments.push_back(nullptr);
    // Nothing of root's surroundings.
    std::array<char*, 2> environment{const_cast<char*>("PATH=/usr/local/bin:/usr/bin:/bin"),
                                     nullptr};
    ::execve(program.command.front().c_str(), arguments.data(), environment.data());
  }
  std::fprintf(stderr, "trivet: cannot run %s: %s\n", program.command.front().c_str(),
               ::strerror(errno));
  ::_exit(127);
}

// The runner's life: a program for each message, until the broker closes its end.
class Runner {
 public:
  explicit Runner(int socket) : socket_(socket) {}

  void run() {
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &ended, nullptr);
    const UniqueFd signals(::signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK));
    for (;;) {
      pollfd waiting[] = {{socket_, POLLIN, 0}, {signals.get(), POLLIN, 0}};
      if (::poll(waiting, 2, -1) < 0) continue;
      signalfd_siginfo info{};
      (void)!::read(signals.get(), &info, sizeof(info));
      reap();
      if (waiting[0].revents && !serve_one()) break;
    }
    const auto end = Clock::now() + program_patience;
    for (reap(); !running_.empty() && Clock::now() < end; reap())
      ::nanosleep(&reap_interval, nullptr);
    // Those that are left die with this process.
  }

 private:
  void reap() {
    for (pid_t pid; (pid = ::waitpid(-1, nullptr, WNOHANG)) > 0;)
      std::erase_if(running_, [&](const auto& entry) { return entry.second == pid; });
  }

  bool serve_one() {
    auto message = receive_message(socket_);
    if (!message || message->bytes.empty()) return false;
    Reader in(message->bytes);
    ConfiguredProgram program;
    program.name = in.text(max_text);
    in.list(max_arguments, [&] { program.command.push_back(in.text(max_text)); });
    if (!in.complete() || program.command.empty() || message->fds.size() != 1) return true;
    if (const auto before = running_.find(program.name); before != running_.end()) {
      ::kill(before->second, SIGKILL);
      running_.erase(before);
    }
    const pid_t self = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) execute(program, message->fds.front().get(), self);
    if (child > 0) running_[program.name] = child;
    return true;
  }

  const int socket_;
  std::map<std::string, pid_t> running_;
};

}  // namespace

Programs::Programs(Programs&& other) noexcept
    : runner_(std::move(other.runner_)), pid_(std::exchange(other.pid_, -1)) {}

Programs& Programs::operator=(Programs&& other) noexcept {
  std::swap(runner_, other.runner_);
  std::swap(pid_, other.pid_);
  return *this;
}

Programs::~Programs() {
  finish();
}

Result<Programs> Programs::with_runner(uid_t uid, gid_t gid) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return system_error(errno, "cannot connect to the process that starts programs");
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t self = ::getpid();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return system_error(errno, "cannot start the process that starts programs");
  if (child == 0) {
    ::prctl(PR_SET_NAME, runner_name, 0, 0, 0);
    auto dropped = drop_privileges(uid, gid, self, theirs.get());
    if (dropped) Runner(3).run();
    if (!dropped) std::fprintf(stderr, "trivet: %s\n", dropped.error().message.c_str());
    ::_exit(dropped ? 0 : 1);
  }
  Programs programs;
  programs.runner_ = std::move(ours);
  programs.pid_ = child;
  return programs;
}

Result<UniqueFd> Programs::start(const ConfiguredProgram& program, TrustedFiles& files) {
  const auto& path = program.command.front();
  if (!runner_) return Error{"no program can be started here", ENOENT};
  if (auto checked = files.open_file(path); !checked) return checked;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error(errno, "cannot make a pipe to " + path);
  std::vector<UniqueFd> input;
  input.emplace_back(ends[0]);
  UniqueFd writer(ends[1]);
  // Main's end alone: to the program its input is what everybody expects.
  (void)::fcntl(writer.get(), F_SETFL, O_NONBLOCK);
  Writer out;
  out.text(program.name);
  out.list(program.command, [&](const std::string& text) { out.text(text); });
  if (auto sent = send_message(runner_.get(), out.message(), input); !sent)
    return std::move(sent).error().within("cannot start " + path);
  return writer;
}

void Programs::finish() {
  if (pid_ < 0) return;
  runner_.reset();
  const auto end = Clock::now() + program_patience + runner_patience;
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (Clock::now() >= end) ::kill(pid_, SIGKILL);
    ::nanosleep(&reap_interval, nullptr);
  }
  pid_ = -1;
}

}  // namespace trivet::broker
