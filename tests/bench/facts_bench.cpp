// SPDX-License-Identifier: Apache-2.0
// Memory of host facts for each process, and lookups with and without a writer beside them. Prints
// what it measured; judges nothing.
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "facts/host_facts.h"

namespace {

using namespace trivet;

constexpr std::uint32_t kProcesses = 100'000;
constexpr int kRounds = 5;

double seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

task_key key(std::uint32_t pid, std::uint32_t exec_count = 1) {
  return {.start_ns = pid * 1'000'000ull, .tgid = pid, .exec_count = exec_count};
}

template <class Event>
std::vector<std::byte> bytes_of(const Event& event, const std::string& tail) {
  std::vector<std::byte> bytes(sizeof(event) + tail.size());
  std::memcpy(bytes.data(), &event, sizeof(event));
  std::memcpy(bytes.data() + sizeof(event), tail.data(), tail.size());
  return bytes;
}

// Texts as long as a Debian server's: a hundred programs in fifty services.
std::vector<std::byte> exec_of(std::uint32_t pid, bool with_args) {
  const std::string number = std::to_string(pid % 100);
  const std::string exe = "/usr/lib/postgresql/15/bin/program-" + number;
  const std::string cwd = "/var/lib/postgresql/15/main";
  std::string args;
  if (with_args) {
    args = exe + std::string("\0-D\0/var/lib/postgresql/15/main\0-c\0config_file=/etc/p.conf", 58);
  }
  const std::string cgroup = "/system.slice/system-postgresql.slice/postgresql@15-main" +
                             std::to_string(pid % 50) + ".service";
  process_exec_event event{};
  event.header.type = process_exec_event_id;
  event.header.time_ns = pid;
  event.header.task = key(pid);
  event.header.cgroup_id = pid % 50 + 1;
  event.parent = key(1);
  event.exe_size = static_cast<__u16>(exe.size());
  event.cwd_size = static_cast<__u16>(cwd.size());
  event.args_size = static_cast<__u16>(args.size());
  event.cgroup_size = static_cast<__u16>(cgroup.size());
  std::strncpy(event.comm, "postgres", sizeof(event.comm));
  return bytes_of(event, exe + cwd + args + cgroup);
}

std::vector<std::byte> fork_of(std::uint32_t pid, std::uint32_t parent) {
  process_fork_event event{};
  event.header.type = process_fork_event_id;
  event.header.time_ns = pid;
  event.header.task = key(pid);
  event.parent = key(parent);
  return bytes_of(event, {});
}

std::vector<std::byte> exit_of(std::uint32_t pid) {
  process_exit_event event{};
  event.header.type = process_exit_event_id;
  event.header.time_ns = pid;
  event.header.task = key(pid);
  return bytes_of(event, {});
}

std::size_t heap() {
  const auto info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Heap bytes that each process costs, as `make` adds them.
template <class Make>
double memory_per_process(Make make) {
  HostFacts facts("");
  facts.apply(exec_of(1, true));
  const std::size_t before = heap();
  for (std::uint32_t pid = 2; pid < kProcesses + 2; ++pid) facts.apply(make(pid));
  return static_cast<double>(heap() - before) / kProcesses;
}

// Lookups a second by one thread; forks and exits a second by the writer, if there is one.
struct Speed {
  double lookups;
  double updates;
};
Speed lookups(bool with_writer) {
  HostFacts facts("");
  for (std::uint32_t pid = 1; pid <= 10'000; ++pid) facts.apply(exec_of(pid, true));
  std::atomic<bool> stop = false;
  std::uint64_t updates = 0;
  std::thread writer;
  if (with_writer)
    writer = std::thread([&] {
      for (std::uint32_t pid = 20'000; !stop; ++pid) {
        facts.apply(fork_of(pid, pid % 10'000 + 1));
        facts.apply(exit_of(pid));
        if (pid % 1024 == 0) facts.refresh(pid + 20'000'000'000ull);
        updates += 2;
      }
    });
  constexpr std::uint32_t count = 2'000'000;
  std::size_t found = 0;
  const double start = seconds();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t pid = i * 2654435761u % 10'000 + 1;
    found += facts.process(TaskKey{pid * 1'000'000ull, pid, 1}) != nullptr;
  }
  const double took = seconds() - start;
  stop = true;
  if (writer.joinable()) writer.join();
  if (found != count) std::printf("lost some: %zu of %u\n", found, count);
  return {count / took, static_cast<double>(updates) / took};
}

}  // namespace

int main() {
  std::printf("memory of a process that executed, without argv: %.0f bytes\n",
              memory_per_process([](std::uint32_t pid) { return exec_of(pid, false); }));
  std::printf("memory of a process that executed, with 5 arguments of 93 bytes: %.0f bytes\n",
              memory_per_process([](std::uint32_t pid) { return exec_of(pid, true); }));
  std::printf("memory of a process that forked from one of those: %.0f bytes\n",
              memory_per_process([](std::uint32_t pid) { return fork_of(pid, 1); }));

  std::vector<double> alone, beside, updates, ratios;
  for (int round = 0; round < kRounds; ++round) {
    const auto quiet = lookups(false);
    const auto busy = lookups(true);
    alone.push_back(quiet.lookups);
    beside.push_back(busy.lookups);
    updates.push_back(busy.updates);
    ratios.push_back(busy.lookups / quiet.lookups);
  }
  std::printf(
      "lookups: %.2f M/s alone, %.2f M/s beside a writer (ratio %.2f) of %.2f M updates/s\n",
      median(alone) / 1e6, median(beside) / 1e6, median(ratios), median(updates) / 1e6);

  std::vector<double> storm;
  for (int round = 0; round < kRounds; ++round) {
    HostFacts facts("");
    facts.apply(exec_of(1, true));
    const double start = seconds();
    constexpr std::uint32_t count = 300'000;
    for (std::uint32_t pid = 2; pid < count + 2; ++pid) {
      facts.apply(fork_of(pid, 1));
      facts.apply(exec_of(pid, true));
      facts.apply(exit_of(pid));
      if (pid % 1024 == 0) facts.refresh(pid + 20'000'000'000ull);
    }
    storm.push_back(count / (seconds() - start));
  }
  std::printf("processes that fork, execute and exit: %.2f M/s\n", median(storm) / 1e6);
}
