// SPDX-License-Identifier: Apache-2.0
// What main is told about processes, on this kernel.
#include <doctest/doctest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "core/lifecycle.h"
#include "lanes/reader.h"
#include "stage.h"

namespace trivet {
namespace {

struct Seen {
  process_fork_event fork{};
  process_exec_event exec{};
  process_exit_event exit{};
  std::string exe, cwd, args, cgroup;
  std::vector<int> order;
};

// Collects what is told about one process.
void collect(const lanes::Batch& batch, pid_t pid, Seen& seen) {
  for (std::size_t i = 0; i < batch.size(); i++) {
    auto record = batch.record(i);
    const event_header& header = batch.header(i);
    if (header.task.tgid != static_cast<std::uint32_t>(pid)) continue;
    seen.order.push_back(header.type);
    if (header.type == process_fork_event_id)
      std::memcpy(&seen.fork, record.data(), sizeof(seen.fork));
    if (header.type == process_exit_event_id)
      std::memcpy(&seen.exit, record.data(), sizeof(seen.exit));
    if (header.type != process_exec_event_id) continue;
    std::memcpy(&seen.exec, record.data(), sizeof(seen.exec));
    const char* tail = reinterpret_cast<const char*>(record.data()) + sizeof(seen.exec);
    auto next = [&](std::string& text, std::uint16_t size) {
      text.assign(tail, size);
      tail += size;
    };
    next(seen.exe, seen.exec.exe_size);
    next(seen.cwd, seen.exec.cwd_size);
    next(seen.args, seen.exec.args_size);
    next(seen.cgroup, seen.exec.cgroup_size);
  }
}

pid_t spawn(const char* program, std::vector<const char*> arguments) {
  arguments.push_back(nullptr);
  pid_t pid = ::fork();
  if (pid == 0) {
    ::execv(program, const_cast<char* const*>(arguments.data()));
    ::_exit(127);
  }
  return pid;
}

std::string own_cgroup() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) return line.substr(3);
  }
  return "missing";
}

}  // namespace

TEST_CASE("main sees a program start and end, in time order, with its path, arguments and parent") {
  Findings findings;
  auto status = broker::launch(options(), [&](broker::Client& client) {
    auto object = client.load("core", lifecycle());
    findings.expect(object.has_value(), object ? "" : object.error().message);
    if (!object) return 1;
    auto maps = client.lanes();
    findings.expect(maps.has_value(), "no lanes");
    if (!maps) return 1;
    Seen seen;
    pid_t pid = 0;
    std::uint64_t last = 0;
    bool ordered = true;
    std::vector<lanes::Batch> batches;
    auto reader = lanes::LaneReader::create(std::move(*maps), [&](lanes::Batch&& batch) {
      for (std::size_t i = 0; i < batch.size(); i++) {
        ordered = ordered && batch.header(i).time_ns >= last;
        last = batch.header(i).time_ns;
      }
      last = 0;
      batches.push_back(std::move(batch));
    });
    findings.expect(reader.has_value(), reader ? "" : reader.error().message);
    if (!reader) return 1;
    pid = spawn("/bin/sh", {"/bin/sh", "-c", "exit 7", "two words", ""});
    int ended = 0;
    ::waitpid(pid, &ended, 0);
    (*reader)->read_round();
    for (const auto& batch : batches) collect(batch, pid, seen);

    findings.expect(ordered, "a batch is out of order");
    findings.expect(seen.order == std::vector<int>{1, 2, 3}, "not fork, exec, exit");
    findings.expect(seen.fork.parent.tgid == static_cast<std::uint32_t>(::getpid()), "parent");
    findings.expect(seen.fork.header.task.start_ns == seen.exec.header.task.start_ns, "start");
    findings.expect(seen.fork.flags & PROCESS_HOST_PID_NS, "pid namespace");
    findings.expect(seen.exec.parent.tgid == static_cast<std::uint32_t>(::getpid()), "parent");
    findings.expect(seen.exec.header.task.exec_count == seen.fork.header.task.exec_count + 1,
                    "exec count");
    findings.expect(seen.exe == real_path("/bin/sh"), "exe " + seen.exe);
    findings.expect(seen.cwd == "/", "cwd " + seen.cwd);
    findings.expect(seen.args == std::string("/bin/sh\0-c\0exit 7\0two words\0", 28),
                    "args " + seen.args);
    findings.expect(seen.cgroup == own_cgroup(), "cgroup " + seen.cgroup);
    findings.expect(std::string(seen.exec.comm) == "sh", "comm");
    findings.expect(seen.exec.uid == 65534 && seen.exec.euid == 65534, "uid");
    findings.expect(seen.exec.cap_effective == 0, "capabilities");
    findings.expect(seen.exec.vpid == static_cast<std::uint32_t>(pid), "vpid");
    findings.expect(seen.exec.pgid == static_cast<std::uint32_t>(::getpgid(0)), "pgid");
    findings.expect(seen.exec.sid == static_cast<std::uint32_t>(::getsid(0)), "sid");
    struct stat file {};
    ::stat("/bin/sh", &file);
    findings.expect(seen.exec.exe_inode == file.st_ino, "inode");
    findings.expect(
        seen.exec.exe_mtime_ns == static_cast<std::uint64_t>(file.st_mtim.tv_sec) * 1000000000 +
                                      static_cast<std::uint64_t>(file.st_mtim.tv_nsec),
        "mtime");
    findings.expect(
        seen.exec.exe_ctime_ns == static_cast<std::uint64_t>(file.st_ctim.tv_sec) * 1000000000 +
                                      static_cast<std::uint64_t>(file.st_ctim.tv_nsec),
        "ctime");
    findings.expect(seen.exit.exit_code == ended && WEXITSTATUS(ended) == 7, "exit code");

    auto accounts = (*reader)->accounts();
    findings.expect(accounts && !accounts->empty(), "no accounts");
    for (const auto& account : *accounts) {
      findings.expect(account.kernel.offered >= account.delivered && account.kernel.ring_full == 0,
                      "accounts do not add up");
    }
    findings.expect((*reader)->counters(LANE_LIFECYCLE).malformed == 0, "malformed");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
  CHECK(*status == 0);
}

TEST_CASE("processes from before are told by the iterator, as /proc tells them") {
  pid_t sleeper = spawn("/bin/sleep", {"/bin/sleep", "100"});
  Findings findings;
  auto status = broker::launch(options(), [&](broker::Client& client) {
    auto object = client.load("core", lifecycle());
    if (!object) return 1;
    auto pass = client.iterate(object->handle, "process_snapshot");
    findings.expect(pass.has_value(), pass ? "" : pass.error().message);
    if (!pass) return 1;
    std::vector<std::byte> bytes;
    std::vector<std::byte> part(64 * 1024);
    for (ssize_t got; (got = ::read(pass->get(), part.data(), part.size())) > 0;) {
      bytes.insert(bytes.end(), part.begin(), part.begin() + got);
    }
    lanes::Batch batch;
    for (std::size_t at = 0; at + sizeof(event_header) <= bytes.size();) {
      event_header header;
      std::memcpy(&header, &bytes[at], sizeof(header));
      findings.expect(header.size >= sizeof(process_exec_event) && at + header.size <= bytes.size(),
                      "a record does not fit");
      batch.add({&bytes[at], header.size});
      at += header.size;
    }
    Seen seen;
    collect(batch, sleeper, seen);
    findings.expect(seen.order == std::vector<int>{process_exec_event_id}, "not told once");
    findings.expect(seen.exec.flags & PROCESS_SNAPSHOT, "flag");
    findings.expect(seen.exe == real_path("/bin/sleep"), "exe " + seen.exe);
    findings.expect(seen.args == std::string("/bin/sleep\000100", 14), "args " + seen.args);
    findings.expect(seen.exec.uid == 0, "uid");
    return 0;
  });
  ::kill(sleeper, SIGKILL);
  ::waitpid(sleeper, nullptr, 0);
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

TEST_CASE("an unlinked program and one in memory are named as such") {
  TemporaryFolder folder;
  std::string copy = folder.path + "/gone";
  std::filesystem::copy_file(real_path("/bin/sleep"), copy);
  Findings findings;
  auto status = broker::launch(options(), [&](broker::Client& client) {
    auto object = client.load("core", lifecycle());
    auto maps = client.lanes();
    if (!object || !maps) return 1;
    std::vector<lanes::Batch> batches;
    auto reader = lanes::LaneReader::create(
        std::move(*maps), [&](lanes::Batch&& batch) { batches.push_back(std::move(batch)); });
    if (!reader) return 1;
    int memory = ::memfd_create("hidden", 0);
    std::ifstream source(real_path("/bin/true"), std::ios::binary);
    std::stringstream content;
    content << source.rdbuf();
    findings.expect(::write(memory, content.str().data(), content.str().size()) ==
                        static_cast<ssize_t>(content.str().size()),
                    "memfd");
    std::string path = "/proc/self/fd/" + std::to_string(memory);
    pid_t pid = spawn(path.c_str(), {"hidden"});
    ::waitpid(pid, nullptr, 0);
    (*reader)->read_round();
    Seen seen;
    for (const auto& batch : batches) collect(batch, pid, seen);
    findings.expect(seen.exe == "memfd:hidden", "exe " + seen.exe);
    findings.expect(seen.exec.flags & PROCESS_EXE_MEMFD, "memfd flag");
    return 0;
  });
  CHECK(findings.text() == "");

  Findings unlinked;
  pid_t sleeper = spawn(copy.c_str(), {"gone", "100"});
  while (real_path(("/proc/" + std::to_string(sleeper) + "/exe").c_str()) != copy) ::usleep(1000);
  std::filesystem::remove(copy);
  status = broker::launch(options(), [&](broker::Client& client) {
    auto object = client.load("core", lifecycle());
    if (!object) return 1;
    auto pass = client.iterate(object->handle, "process_snapshot");
    std::string bytes(1 << 20, '\0');
    std::size_t used = 0;
    for (ssize_t got; (got = ::read(pass->get(), &bytes[used], bytes.size() - used)) > 0;) {
      used += static_cast<std::size_t>(got);
    }
    unlinked.expect(bytes.find(copy + " (deleted)") != std::string::npos, "not told as deleted");
    return 0;
  });
  ::kill(sleeper, SIGKILL);
  ::waitpid(sleeper, nullptr, 0);
  CHECK(unlinked.text() == "");
}

TEST_CASE("when a lane overflows, offered is delivered and dropped, and the gaps are the drops") {
  Findings findings;
  auto status = broker::launch(options(), [&](broker::Client& client) {
    auto object = client.load("core", lifecycle());
    auto maps = client.lanes();
    if (!object || !maps) return 1;
    std::uint64_t handed_on = 0;
    auto reader = lanes::LaneReader::create(
        std::move(*maps), [&](lanes::Batch&& batch) { handed_on += batch.size(); });
    if (!reader) return 1;
    auto totals = [&] {
      lane_account sum{};
      std::uint64_t delivered = 0;
      auto accounts = (*reader)->accounts();
      findings.expect(accounts.has_value(), "no accounts");
      for (const auto& account : *accounts) {
        if (account.lane != LANE_LIFECYCLE) continue;
        sum.offered += account.kernel.offered;
        sum.ring_full += account.kernel.ring_full;
        sum.fault += account.kernel.fault + account.kernel.too_large + account.kernel.filtered;
        delivered += account.delivered;
      }
      return std::pair{sum, delivered};
    };
    // Nobody reads; each program leaves a page of arguments.
    std::string page(4000, 'x');
    for (int i = 0; i < 8000 && (i % 100 != 0 || totals().first.ring_full < 100); i++) {
      ::waitpid(spawn("/bin/true", {"/bin/true", page.c_str()}), nullptr, 0);
    }
    findings.expect(totals().first.ring_full >= 100, "the lane did not overflow");
    (*reader)->read_round();
    // A gap shows when a later record of the same CPU arrives.
    for (int cpu = 0; cpu < ::get_nprocs(); cpu++) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      ::sched_setaffinity(0, sizeof(one), &one);
      ::waitpid(spawn("/bin/true", {"/bin/true"}), nullptr, 0);
    }
    // Other processes of the host go on: ask until nothing moved meanwhile.
    for (int attempt = 0; attempt < 100; attempt++) {
      (*reader)->read_round();
      (*reader)->read_round();
      auto [kernel, delivered] = totals();
      std::uint64_t missing = (*reader)->counters(LANE_LIFECYCLE).missing;
      bool same = kernel.offered == delivered + kernel.ring_full + kernel.fault &&
                  missing == kernel.ring_full && handed_on == delivered;
      if (same) return 0;
      if (attempt == 99) {
        findings.expect(false, "offered " + std::to_string(kernel.offered) + " delivered " +
                                   std::to_string(delivered) + " dropped " +
                                   std::to_string(kernel.ring_full) + " missing " +
                                   std::to_string(missing));
      }
    }
    return 1;
  });
  REQUIRE(status.has_value());
  CHECK(findings.text() == "");
}

TEST_CASE("arguments that cannot be read are counted as lost") {
  // A copy of this process whose arguments are gone.
  pid_t bare = ::fork();
  if (bare == 0) {
    std::ifstream stat("/proc/self/stat");
    std::string field;
    std::uint64_t first = 0;
    std::uint64_t end = 0;
    for (int i = 1; i <= 49 && stat >> field; i++) {  // proc(5): arg_start, arg_end
      if (i == 48) first = std::stoull(field);
      if (i == 49) end = std::stoull(field);
    }
    std::uint64_t page = first & ~std::uint64_t{4095};
    ::syscall(SYS_munmap, page, end - page);
    for (;;) ::syscall(SYS_pause);
  }
  ::usleep(300000);
  Findings findings;
  auto status = broker::launch(options(), [&](broker::Client& client) {
    auto object = client.load("core", lifecycle());
    auto maps = client.lanes();
    if (!object || !maps) return 1;
    auto pass = client.iterate(object->handle, "process_snapshot");
    if (!pass) return 1;
    std::vector<std::byte> part(64 * 1024);
    while (::read(pass->get(), part.data(), part.size()) > 0) {
    }
    auto reader = lanes::LaneReader::create(std::move(*maps), [](lanes::Batch&&) {});
    if (!reader) return 1;
    std::uint64_t lost = 0;
    auto accounts = (*reader)->accounts();
    for (const auto& account : *accounts) {
      if (account.lane == LANE_LIFECYCLE && account.type == process_exec_event_id) {
        lost += account.kernel.fault;
      }
      findings.expect(account.kernel.offered >= account.kernel.fault, "lost but never offered");
    }
    findings.expect(lost >= 1, "nothing is counted");
    return 0;
  });
  ::kill(bare, SIGKILL);
  ::waitpid(bare, nullptr, 0);
  REQUIRE(status.has_value());
  CHECK(*status == 0);
  CHECK(findings.text() == "");
}

}  // namespace trivet
