// SPDX-License-Identifier: Apache-2.0
// Host facts fed by this kernel, against what /proc says: storms of forks, pids that are used
// again, and the sockets of another network namespace. The facts live in a main process without
// privileges; a stagehand forked before it does what needs root. Both sides meet in shared memory.
#define DOCTEST_CONFIG_IMPLEMENT
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "broker/broker.h"
#include "daemon/core_objects.h"
#include "daemon/process_snapshot.h"
#include "daemon/snapshot.h"
#include "facts/host_facts.h"
#include "lanes/reader.h"
#include "log/stream_log.h"

using namespace trivet;
using namespace std::chrono_literals;

namespace {

// What both processes see.
struct Shared {
  std::atomic<int> scene = 0;  // asked of the stagehand; 0: none
  std::atomic<std::uint64_t> cookie[4] = {};
  std::atomic<std::uint32_t> net_namespace = 0;
  std::atomic<std::uint32_t> pid = 0;
  std::atomic<std::uint32_t> port = 0;
  char text[64 << 10] = {};
};

class Stage {
 public:
  Stage() {
    void* memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    shared_ = new (memory) Shared;
  }
  ~Stage() {
    if (hand_ > 0) {
      ::kill(-hand_, SIGKILL);
      ::kill(hand_, SIGKILL);
      ::waitpid(hand_, nullptr, 0);
    }
    ::munmap(shared_, sizeof(Shared));
  }
  // Forks the stagehand, who plays scenes[n - 1] for play(n). It leads a process group.
  void open(std::vector<std::function<void(Shared&)>> scenes) {
    hand_ = ::fork();
    REQUIRE(hand_ >= 0);
    if (hand_ > 0) return;
    ::setpgid(0, 0);
    for (;;) {
      const int scene = shared_->scene;
      if (scene > 0) scenes[static_cast<std::size_t>(scene) - 1](*shared_);
      if (scene > 0) shared_->scene = 0;
      ::usleep(500);
    }
  }
  void play(int scene) {
    shared_->scene = scene;
    while (shared_->scene != 0) ::usleep(500);
  }
  Shared& shared() { return *shared_; }
  // In main: a sentence about what was not as it should be.
  void expect(bool good, const std::string& sentence) {
    if (good) return;
    const std::size_t used = std::strlen(shared_->text);
    std::snprintf(shared_->text + used, sizeof(shared_->text) - used, "%s; ", sentence.c_str());
  }

 private:
  Shared* shared_ = nullptr;
  pid_t hand_ = -1;
};

std::uint64_t boot_now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

// Facts as the daemon keeps them, without its plugins.
class LiveFacts {
 public:
  explicit LiveFacts(broker::Client& broker) : facts("") {
    auto lifecycle = broker.load(kCorePlugin, lifecycle_object());
    auto sockets = broker.load(kCorePlugin, sockets_object());
    if (!lifecycle || !sockets) {
      error = (lifecycle ? sockets.error() : lifecycle.error()).to_string();
      return;
    }
    const auto fill = [&](std::uint32_t handle, const char* program, auto apply) {
      auto pass = broker.iterate(handle, program);
      if (!pass || !read_snapshot(pass->get(), program, apply)) error = program;
    };
    StreamLog log(STDERR_FILENO, LogLevel::warning, false);
    ProcessSnapshot::take(broker, lifecycle->handle, log).apply(facts);
    const std::uint64_t start_ns = boot_now_ns();
    facts.begin_socket_snapshot();
    fill(sockets->handle, kSocketSnapshot,
         [this](std::span<const std::byte> record) { facts.apply_snapshot(record); });
    facts.end_socket_snapshot(start_ns);
    auto lanes = broker.lanes();
    auto created = lanes::LaneReader::create(std::move(*lanes), [this](lanes::Batch&& batch) {
      for (std::size_t i = 0; i < batch.size(); i++) facts.apply(batch.record(i));
    });
    if (!created) {
      error = created.error().to_string();
      return;
    }
    reader = std::move(*created);
    thread = std::jthread([this](std::stop_token stop) { reader->run(std::move(stop)); });
  }

  bool within(std::chrono::milliseconds limit, const std::function<bool()>& ask) const {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!ask()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(5ms);
    }
    return true;
  }

  HostFacts facts;
  std::string error;
  std::unique_ptr<lanes::LaneReader> reader;
  std::jthread thread;
};

struct ProcStat {
  std::string name;
  std::uint32_t parent = 0;
  std::uint64_t start_ticks = 0;
};

// Of every process but kernel threads' exits; zombies left out, as their exit has been told.
std::map<std::uint32_t, ProcStat> read_proc() {
  std::map<std::uint32_t, ProcStat> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string line;
    if (!std::getline(file, line)) continue;
    const auto open = line.find('('), close = line.rfind(')');
    ProcStat stat;
    stat.name = line.substr(open + 1, close - open - 1);
    char state = 0;
    unsigned long long start = 0;
    unsigned parent = 0;
    if (std::sscanf(line.c_str() + close + 2,
                    "%c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                    "%llu",
                    &state, &parent, &start) != 3 ||
        state == 'Z' || state == 'X')
      continue;
    stat.parent = parent;
    stat.start_ticks = start;
    all.emplace(static_cast<std::uint32_t>(std::stoul(name)), stat);
  }
  return all;
}

// What differs between facts and /proc, of processes that both saw standing still.
std::string differences(const HostFacts& facts) {
  const auto before = read_proc();
  std::map<std::uint32_t, ProcessRef> known;
  facts.each_process([&](const ProcessRef& process) { known.emplace(process->key.tgid, process); });
  std::this_thread::sleep_for(300ms);
  const auto after = read_proc();
  const std::uint64_t now_ns = boot_now_ns();
  std::string text;
  for (const auto& [pid, stat] : before) {
    const auto still = after.find(pid);
    if (still == after.end() || still->second.start_ticks != stat.start_ticks) continue;
    const auto found = known.find(pid);
    // Its fork may be on its way yet.
    if (found == known.end() && now_ns < stat.start_ticks * 10'000'000 + 1'000'000'000) continue;
    if (found == known.end()) {
      text += "unknown: " + std::to_string(pid) + " " + stat.name + "; ";
      continue;
    }
    if (found->second->key.start_ns / 10'000'000 != stat.start_ticks)
      text += "another process has pid " + std::to_string(pid) + "; ";
    if (found->second->parent.tgid != stat.parent && stat.parent == still->second.parent &&
        stat.parent != 1 && facts.process(found->second->parent) &&
        before.contains(found->second->parent.tgid))
      text += "another parent: " + std::to_string(pid) + "; ";
  }
  for (const auto& [pid, process] : known)
    if (!after.contains(pid) && !before.contains(pid) && facts.process(pid) == process)
      text += "has gone: " + std::to_string(pid) + " " + process->name + "; ";
  return text;
}

broker::BrokerOptions options() {
  broker::BrokerOptions options;
  options.plugin_directory = "/nonexistent";
  options.confined = false;
  return options;
}

std::string run(Stage& stage, const std::function<void(LiveFacts&)>& main) {
  const auto status = broker::launch(options(), [&](broker::Client& client) {
    LiveFacts live(client);
    stage.expect(live.error.empty(), live.error);
    if (live.error.empty()) main(live);
    return 0;
  });
  if (!status) return status.error().to_string();
  return stage.shared().text;
}

// As many processes as the machine can make, on all CPUs, some of which execute something.
void fork_storm(std::chrono::milliseconds span) {
  std::vector<pid_t> makers;
  for (unsigned cpu = 0; cpu < std::thread::hardware_concurrency(); ++cpu) {
    const pid_t maker = ::fork();
    if (maker > 0) makers.push_back(maker);
    if (maker != 0) continue;
    const auto end = std::chrono::steady_clock::now() + span;
    for (int i = 0; std::chrono::steady_clock::now() < end; ++i) {
      const pid_t child = ::fork();
      if (child == 0 && i % 16 == 0) ::execl("/bin/true", "true", nullptr);
      if (child == 0) ::_exit(0);
      ::waitpid(child, nullptr, 0);
    }
    ::_exit(0);
  }
  for (const pid_t maker : makers) ::waitpid(maker, nullptr, 0);
}

// One pid, over and over: clone3(2) lets root choose it.
void reuse_pid(Shared& shared) {
  pid_t wanted = shared.pid.load() == 0 ? 0 : static_cast<pid_t>(shared.pid.load());
  for (int i = 0; i < 2000; ++i) {
    clone_args arguments{};
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = wanted ? reinterpret_cast<std::uintptr_t>(&wanted) : 0;
    arguments.set_tid_size = wanted ? 1 : 0;
    const long child = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (child == 0 && i == 1999) {
      for (;;) ::pause();
    }
    if (child == 0) ::_exit(0);
    // Somebody else may have been given it in between; then another one will do.
    if (child < 0) wanted = 0;
    if (child < 0) continue;
    wanted = static_cast<pid_t>(child);
    if (i < 1999) ::waitpid(wanted, nullptr, 0);
  }
  shared.pid = static_cast<std::uint32_t>(wanted);
}

std::uint64_t cookie_of(int socket) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  ::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size);
  return cookie;
}

// A listener, a connection with both its ends and a UDP socket in a network namespace of their own.
void open_sockets(Shared& shared) {
  const pid_t child = ::fork();
  if (child > 0) {
    while (shared.pid == 0) ::usleep(500);
    return;
  }
  ::unshare(CLONE_NEWNET);
  const int control = ::socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  ::ioctl(control, SIOCSIFFLAGS, &request);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  ::listen(listener, 5);
  socklen_t size = sizeof(address);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  ::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  const int server = ::accept(listener, nullptr, nullptr);
  char byte = 'x';
  (void)!::write(client, &byte, 1);
  (void)!::read(server, &byte, 1);
  const int datagrams = ::socket(AF_INET, SOCK_DGRAM, 0);
  ::connect(datagrams, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  (void)!::write(datagrams, &byte, 1);
  struct stat status {};
  ::stat("/proc/self/ns/net", &status);
  shared.net_namespace = static_cast<std::uint32_t>(status.st_ino);
  shared.port = ntohs(address.sin_port);
  const int sockets[] = {listener, client, server, datagrams};
  for (int i = 0; i < 4; ++i) shared.cookie[i] = cookie_of(sockets[i]);
  shared.pid = static_cast<std::uint32_t>(::getpid());
  for (;;) ::pause();
}

void end_process(Shared& shared) {
  if (shared.pid == 0) return;
  ::kill(static_cast<pid_t>(shared.pid.load()), SIGKILL);
  ::waitpid(static_cast<pid_t>(shared.pid.load()), nullptr, 0);
}

void expect_sockets(Stage& stage, const LiveFacts& live) {
  Shared& shared = stage.shared();
  const char* names[] = {"listener", "client", "server", "datagrams"};
  for (int i = 0; i < 4; ++i) {
    SocketRef socket;
    const std::string name = names[i];
    const bool known = live.within(3s, [&] {
      socket = live.facts.socket(shared.cookie[i]);
      return socket && socket->owner.tgid != 0;
    });
    stage.expect(known, name + " is unknown, or its owner");
    if (!known) continue;
    stage.expect(socket->owner.tgid == shared.pid, name + " is another's");
    stage.expect(socket->net_namespace == shared.net_namespace, name + " is in another namespace");
    stage.expect(socket->listening == (i == 0), name + " listens or not");
    stage.expect(socket->protocol == (i == 3 ? IPPROTO_UDP : IPPROTO_TCP), name + ": protocol");
    if (i == 0 || i == 2)
      stage.expect(socket->local_port == shared.port, name + ": local port");
    else
      stage.expect(socket->remote_port == shared.port && socket->local_port != 0, name + ": ports");
    stage.expect(socket->local.to_string() == "127.0.0.1", name + ": address");
  }
}

TEST_CASE("after a storm of forks on every CPU facts equal /proc") {
  Stage stage;
  stage.open({[](Shared&) { fork_storm(3s); }});
  const auto found = run(stage, [&](LiveFacts& live) {
    stage.play(1);
    std::string differing;
    live.within(5s, [&] { return (differing = differences(live.facts)).empty(); });
    stage.expect(differing.empty(), differing);
    // What has ended is forgotten in time, and nothing of a storm is kept.
    live.facts.refresh(boot_now_ns() + 20'000'000'000);
    live.facts.refresh(boot_now_ns() + 40'000'000'000);
    stage.expect(live.facts.counts().processes < read_proc().size() + 200,
                 "the storm is remembered");
  });
  CHECK(found == "");
}

TEST_CASE("a pid that is used two thousand times names who has it now") {
  Stage stage;
  stage.open({reuse_pid, end_process});
  const auto found = run(stage, [&](LiveFacts& live) {
    stage.play(1);
    const std::uint32_t pid = stage.shared().pid;
    stage.expect(pid != 0, "the pid could not be chosen");
    std::string differing;
    live.within(5s, [&] { return (differing = differences(live.facts)).empty(); });
    stage.expect(differing.empty(), differing);
    stage.expect(live.facts.process(pid) != nullptr, "the last one is unknown");
    stage.play(2);
    stage.expect(live.within(3s, [&] { return live.facts.process(pid) == nullptr; }),
                 "the last one has ended and is known as living");
  });
  CHECK(found == "");
}

TEST_CASE("sockets of another network namespace are known, whether they were there before or not") {
  for (const bool before : {true, false}) {
    CAPTURE(before);
    Stage stage;
    stage.open({open_sockets, end_process});
    if (before) stage.play(1);
    const auto found = run(stage, [&](LiveFacts& live) {
      if (!before) stage.play(1);
      expect_sockets(stage, live);
      stage.play(2);
      for (const auto& cookie : stage.shared().cookie)
        stage.expect(live.within(3s,
                                 [&] {
                                   const auto socket = live.facts.socket(cookie);
                                   return !socket || socket->state == SOCKET_CLOSED;
                                 }),
                     "a socket is open after its process");
    });
    CHECK(found == "");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (::geteuid() != 0) return 77;
  doctest::Context context(argc, argv);
  return context.run();
}
