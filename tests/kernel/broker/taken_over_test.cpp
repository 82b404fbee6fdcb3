// SPDX-License-Identifier: Apache-2.0
// What a main process can see and do if it was taken over, and what not.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "broker/broker.h"
#include "stage.h"

namespace trivet {
namespace {

std::string status_line(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key + ":")) return line.substr(line.find_last_of('\t') + 1);
  }
  return "missing";
}

std::vector<std::string> open_descriptors() {
  std::vector<std::string> links;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    links.push_back(std::filesystem::read_symlink(entry, gone).string());
  }
  return links;
}

}  // namespace

TEST_CASE("a main that was taken over has no right, no program, no link and no file of root's") {
  Findings findings;
  TemporaryFolder folder;
  std::string named = folder.write("named.yaml", "rules");
  std::string other = folder.write("other.yaml", "secret");
  ::chmod(named.c_str(), 0600);
  auto with_files = options();
  with_files.offer.files = {named};
  auto status = broker::launch(with_files, [&](broker::Client& client) {
    auto object = client.load("core", lifecycle());
    findings.expect(object.has_value(), object ? "" : object.error().message);
    auto maps = client.lanes();
    findings.expect(maps.has_value(), "no lanes");
    if (!object || !maps) return 1;
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
      findings.expect(status_line(set) == "0000000000000000", set + status_line(set));
    }
    findings.expect(status_line("NoNewPrivs") == "1", "NoNewPrivs");
    findings.expect(status_line("Groups") == "Groups:" ||
                        status_line("Groups").find_first_of("0123456789") == std::string::npos,
                    "groups");
    findings.expect(::getuid() == 65534 && ::geteuid() == 65534 && ::getgid() == 65534, "uid");
    findings.expect(::setuid(0) != 0, "became root again");
    findings.expect(::open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES, "read /etc/shadow");
    for (const std::string& link : open_descriptors()) {
      findings.expect(link.find("bpf-prog") == std::string::npos &&
                          link.find("bpf_link") == std::string::npos &&
                          link.find("bpf-link") == std::string::npos,
                      "holds " + link);
    }
    // Requests beyond what the configuration names.
    for (const std::string& path : {other, std::string("/etc/shadow"), folder.path,
                                    named + "/../other.yaml", std::string("")}) {
      auto file = client.open_configured(path);
      findings.expect(!file && file.error().code == EACCES, "opened " + path);
      findings.expect(!client.list_configured(path), "listed " + path);
    }
    // Writing and executing likewise.
    for (const std::string& path : {folder.path, std::string("/etc"), std::string("")}) {
      auto owned = client.owned_folder(path);
      findings.expect(!owned && owned.error().code == EACCES, "may write " + path);
    }
    for (const char* name : {"/bin/sh", "sh", ""}) {
      auto program = client.start_program(name);
      findings.expect(!program && program.error().code == EACCES, std::string("ran ") + name);
    }
    auto file = client.open_configured(named);
    findings.expect(file.has_value(), "could not open the named file");
    for (const char* name : {"../../etc/passwd", "", "Security", "a/b", "nosuch"}) {
      findings.expect(!client.open_plugin(name), std::string("opened plugin ") + name);
    }
    findings.expect(!client.load("core", {"../lifecycle", {}, {}, {}}), "loaded by path");
    findings.expect(!client.load("core", {"nosuch", {}, {}, {}}), "loaded what is not there");
    findings.expect(!client.unload(4711), "unloaded what is not there");
    findings.expect(!client.iterate(object->handle, "process_exec"), "iterated over a tracepoint");
    findings.expect(!client.control_listener(), "a listener that is not configured");

    // What it may not write stays as it is.
    for (const auto& map : *maps) {
      bool ring = map.type == BPF_MAP_TYPE_RINGBUF;
      findings.expect(map.writable == ring, map.name + " writable");
      if (ring) continue;
      std::uint32_t key = 0;
      std::vector<std::byte> value(64 * 1024);
      bpf_attr attr{};
      attr.map_fd = static_cast<std::uint32_t>(map.fd.get());
      attr.key = reinterpret_cast<std::uint64_t>(&key);
      attr.value = reinterpret_cast<std::uint64_t>(value.data());
      findings.expect(::syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) == 0,
                      "read " + map.name);
      findings.expect(::syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)) != 0,
                      "wrote " + map.name);
    }
    // Bytes that are no request get an error for an answer, and the next request works.
    const char garbage[] = "\xff\xfe garbage";
    findings.expect(::send(3, garbage, sizeof(garbage), 0) > 0, "send");
    char answer[4096];
    findings.expect(::recv(3, answer, sizeof(answer), 0) > 0 && answer[0] == 0,
                    "garbage was taken");
    findings.expect(client.unload(object->handle).has_value(), "the broker lost its object");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over has no system call that would help it further") {
  Findings findings;
  const pid_t outside = ::getpid();
  const pid_t daemon = ::fork();
  if (daemon == 0) {
    auto confined = options();
    confined.confined = true;
    // One that is started again has the broker's filter beside its own.
    confined.restarts_a_minute = 2;
    unsigned aborted = 0;
    confined.warn = [&](std::string_view sentence) {
      aborted += sentence.find("signal 6 ") != sentence.npos;
    };
    auto status = broker::launch(confined, [&](broker::Client& client) {
      auto loaded = client.load("core", lifecycle());
      auto maps = client.lanes();
      findings.expect(loaded && maps, loaded ? "no lanes" : loaded.error().message);
      if (!loaded || !maps) return 1;
      const auto refused = [&](const char* what, long result) {
        findings.expect(result < 0 && errno == ENOSYS, what);
      };
      bpf_attr attr{};
      for (int command : {BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_OBJ_PIN, BPF_OBJ_GET, BPF_PROG_ATTACH,
                          BPF_PROG_DETACH, BPF_LINK_CREATE, BPF_LINK_UPDATE, BPF_LINK_DETACH,
                          BPF_BTF_LOAD, BPF_MAP_FREEZE, BPF_MAP_GET_FD_BY_ID, BPF_PROG_TEST_RUN})
        refused("bpf", ::syscall(SYS_bpf, command, &attr, sizeof(attr)));
      const char* arguments[] = {"/bin/true", nullptr};
      refused("execve", ::execve(arguments[0], const_cast<char**>(arguments), nullptr));
      refused("execveat", ::syscall(SYS_execveat, -1, arguments[0], arguments, nullptr, 0));
      refused("ptrace", ::syscall(SYS_ptrace, 0, 0, 0, 0));
      refused("process_vm_readv",
              ::syscall(SYS_process_vm_readv, outside, nullptr, 0, nullptr, 0, 0));
      refused("kill", ::kill(outside, 0));
      refused("tgkill", ::syscall(SYS_tgkill, outside, outside, 0));
      refused("pidfd_open", ::syscall(SYS_pidfd_open, outside, 0));
      refused("unshare", ::unshare(CLONE_NEWUSER));
      refused("clone", ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0));
      refused("a process of its own", ::fork());
      refused("a life without the broker", ::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
      refused("memory that others may read", ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
      refused("clone3", ::syscall(SYS_clone3, nullptr, 0));
      refused("setns", ::syscall(SYS_setns, 0, 0));
      refused("mount", ::syscall(SYS_mount, "", "/", "", 0, nullptr));
      refused("io_uring_setup", ::syscall(SYS_io_uring_setup, 1, nullptr));
      refused("userfaultfd", ::syscall(SYS_userfaultfd, 0));
      refused("perf_event_open", ::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0));
      refused("keyctl", ::syscall(SYS_keyctl, 0, 0, 0, 0, 0));
      refused("memory to write and to execute",
              ::syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      refused("raw sockets", ::socket(AF_PACKET, SOCK_RAW, 0));
      refused("setrlimit of another", ::prlimit(outside, RLIMIT_CORE, nullptr, nullptr));

      // What it lives by works: the maps it was lent, and threads.
      for (const auto& map : *maps) {
        if (map.type != BPF_MAP_TYPE_PERCPU_ARRAY) continue;
        std::uint32_t key = 0;
        std::vector<std::byte> value(64 * 1024);
        bpf_attr look{};
        look.map_fd = static_cast<std::uint32_t>(map.fd.get());
        look.key = reinterpret_cast<std::uint64_t>(&key);
        look.value = reinterpret_cast<std::uint64_t>(value.data());
        findings.expect(::syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &look, sizeof(look)) == 0,
                        "read " + map.name);
      }
      std::thread([&] { findings.expect(::getppid() > 0, "a thread"); }).join();
      if (client.restarts() == 2) return 0;
      // And it can end itself, so that a crash is seen as one.
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      ::signal(SIGABRT, SIG_DFL);
      std::abort();
    });
    findings.expect(status && *status == 0, status ? "main failed" : status.error().message);
    findings.expect(aborted == 2, "aborted " + std::to_string(aborted) + " times of 2");
    ::_exit(0);
  }
  int status = 1;
  REQUIRE(::waitpid(daemon, &status, 0) == daemon);
  CHECK(status == 0);
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over cannot load what is not enabled, twice, or without measure") {
  Findings findings;
  auto status = broker::launch(options(), [&](broker::Client& client) {
    auto refused = [&](const Result<broker::LoadedObject>& got, int code, const std::string& what) {
      findings.expect(!got && got.error().code == code,
                      what + ": " + (got ? "loaded" : got.error().message));
    };
    refused(client.load("network", {"flows", {}, {}, {}}), EACCES, "a plugin that is off");
    ObjectSpec large = lifecycle();
    large.map_sizes = {{"exec_scratch", 100'000}};
    refused(client.load("core", large), E2BIG, "a map of gigabytes");
    large.map_sizes.assign(1000, {"exec_scratch", 100});
    refused(client.load("core", large), E2BIG, "many sizes that add up");
    ObjectSpec long_one = lifecycle();
    for (int i = 0; i < 60; i++) long_one.hooks.push_back(long_one.hooks[0]);
    long_one.hooks[0].tiers.assign(16, long_one.hooks[0].tiers[0]);
    refused(client.load("core", long_one), E2BIG, "more tiers than anything has");
    auto first = client.load("core", lifecycle());
    findings.expect(first.has_value(), first ? "" : first.error().message);
    refused(client.load("core", lifecycle()), EEXIST, "a second instance");
    if (first) findings.expect(client.unload(first->handle).has_value(), "unload");
    findings.expect(client.load("core", lifecycle()).has_value(), "again after unload");
    return 0;
  });
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
  CHECK(findings.text() == "");
}

TEST_CASE("a main that was taken over and keeps the broker busy is killed when its time is up") {
  TemporaryFolder folder;
  auto with_socket = options();
  with_socket.control_socket = folder.path + "/trivet.sock";
  pid_t daemon = ::fork();
  if (daemon == 0) {
    auto status = broker::launch(with_socket, [](broker::Client& client) {
      sigset_t all;
      sigfillset(&all);
      ::sigprocmask(SIG_BLOCK, &all, nullptr);
      for (;;) {
        if (auto object = client.load("core", lifecycle())) (void)client.unload(object->handle);
      }
      return 0;
    });
    // Killed by the broker: an error, not a status.
    ::_exit(status ? 1 : 42);
  }
  while (::access(with_socket.control_socket.c_str(), F_OK) != 0) ::usleep(10000);
  ::usleep(300000);
  auto asked = std::chrono::steady_clock::now();
  // A terminal's Ctrl-C reaches main through the broker alone.
  ::kill(daemon, SIGINT);
  int ended = 0;
  while (::waitpid(daemon, &ended, WNOHANG) == 0 &&
         std::chrono::steady_clock::now() - asked < std::chrono::seconds(30)) {
    ::usleep(20000);
  }
  bool in_time = std::chrono::steady_clock::now() - asked < std::chrono::seconds(30);
  if (!in_time) ::kill(daemon, SIGKILL);
  CHECK(in_time);
  CHECK(WEXITSTATUS(ended) == 42);
}

}  // namespace trivet
