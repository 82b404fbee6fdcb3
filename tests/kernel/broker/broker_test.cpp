// SPDX-License-Identifier: Apache-2.0
// A broker and a main process on this kernel: what main can see and do, and what it cannot even if
// it was taken over. Main is a child without descriptors of ours, so it tells what it found through
// shared memory.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "broker/broker.h"
#include "core/lifecycle.h"
#include "lanes/reader.h"

using namespace trivet;

namespace {

// Sentences about what was not as it should be, shared by both processes.
class Findings {
 public:
  Findings() : text_(map()) {}
  ~Findings() { ::munmap(text_, size); }
  void expect(bool good, const std::string& sentence) {
    if (good) return;
    std::size_t used = std::strlen(text_);
    std::snprintf(text_ + used, size - used, "%s; ", sentence.c_str());
  }
  std::string text() const { return text_; }

 private:
  static constexpr std::size_t size = 64 * 1024;
  static char* map() {
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    return static_cast<char*>(memory);
  }
  char* text_;
};

// A folder that is gone at the end of the test.
struct TemporaryFolder {
  TemporaryFolder() {
    char name[] = "/tmp/trivet-broker-XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
    ::chmod(name, 0755);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path + "/" + name) << text;
    return path + "/" + name;
  }
  std::string path;
};

ObjectSpec lifecycle() {
  return {"lifecycle",
          {{"fork", {{"tp_btf", {"process_fork"}}}},
           {"exec", {{"tp_btf", {"process_exec"}}}},
           {"exit", {{"tp_btf", {"process_exit"}}}}},
          {},
          {}};
}

broker::BrokerOptions options() {
  broker::BrokerOptions options;
  options.plugin_directory = "/nonexistent";
  return options;
}

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

// Ids of all programs, maps and links in the kernel.
std::vector<std::set<std::uint32_t>> kernel_objects() {
  std::vector<std::set<std::uint32_t>> objects;
  for (int command : {BPF_PROG_GET_NEXT_ID, BPF_MAP_GET_NEXT_ID, BPF_LINK_GET_NEXT_ID}) {
    auto& ids = objects.emplace_back();
    bpf_attr attr{};
    while (::syscall(SYS_bpf, command, &attr, sizeof(attr)) == 0) {
      ids.insert(attr.next_id);
      attr.start_id = attr.next_id;
    }
  }
  return objects;
}

// Programs and maps are freed after a grace period.
bool gone_within(const std::vector<std::set<std::uint32_t>>& before, std::chrono::seconds limit) {
  auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    auto now = kernel_objects();
    bool left = false;
    for (std::size_t i = 0; i < now.size(); i++) {
      for (auto id : now[i]) left = left || !before[i].contains(id);
    }
    if (!left) return true;
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

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

std::string real_path(const char* path) {
  return std::filesystem::canonical(path).string();
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

TEST_CASE("a main that was taken over has no right, no program, no link and no file of root's") {
  Findings findings;
  TemporaryFolder folder;
  std::string named = folder.write("named.yaml", "rules");
  std::string other = folder.write("other.yaml", "secret");
  ::chmod(named.c_str(), 0600);
  auto with_files = options();
  with_files.files = {named};
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

TEST_CASE("a tier that the kernel refuses is named with its reason, and the next one serves") {
  Findings findings;
  auto status = broker::launch(options(), [&](broker::Client& client) {
    // Two programs that exist stand for two tiers; the first cannot load without its own config.
    ObjectSpec spec = lifecycle();
    auto probed = client.probe("core", spec);
    findings.expect(probed.has_value(), probed ? "" : probed.error().message);
    if (!probed) return 1;
    for (const HookState& hook : *probed) {
      findings.expect(!hook.tier.empty(),
                      hook.hook + ": " + (hook.tried.empty() ? "" : hook.tried[0].refusal));
    }
    spec.hooks.push_back({"missing", {{"none", {"no_such_program"}}}, true});
    auto loaded = client.load("core", spec);
    findings.expect(!loaded && loaded.error().message.find("no_such_program") != std::string::npos,
                    "a program that is not there");
    ObjectSpec with_config = lifecycle();
    with_config.config.resize(8);
    findings.expect(!client.load("core", with_config), "a config that is not there");
    return 0;
  });
  REQUIRE(status.has_value());
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

TEST_CASE("a reload lends the new files on trial, and main's word decides which stay") {
  TemporaryFolder folder;
  std::string old_file = folder.write("old.yaml", "");
  std::string new_file = folder.write("new.yaml", "");
  auto reloading = options();
  reloading.files = {old_file};
  reloading.reload = [&] { return broker::ReloadedOptions{{new_file}, {}}; };
  Findings findings;
  auto status = broker::launch(reloading, [&](broker::Client& client) {
    auto lends = [&](bool old_one, bool new_one, const std::string& when) {
      findings.expect(client.open_configured(old_file).has_value() == old_one, "old " + when);
      findings.expect(client.open_configured(new_file).has_value() == new_one, "new " + when);
    };
    lends(true, false, "before");
    findings.expect(client.commit_reload(true).has_value(), "commit of nothing");
    lends(true, false, "after a commit of nothing");
    findings.expect(client.reload().has_value(), "reload");
    lends(true, true, "on trial");
    findings.expect(client.commit_reload(false).has_value(), "rollback");
    lends(true, false, "after rollback");
    findings.expect(client.reload().has_value() && client.commit_reload(true).has_value(),
                    "commit");
    lends(false, true, "after commit");
    return 0;
  });
  REQUIRE(status.has_value());
  CHECK(findings.text() == "");
}

TEST_CASE(
    "main has a session of its own, an empty standard input and nothing to read a terminal by") {
  int terminal = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  char name[64];
  REQUIRE(::ptsname_r(terminal, name, sizeof(name)) == 0);
  Findings findings;
  pid_t shell = ::fork();
  if (shell == 0) {
    // As a login: this session's terminal is all three.
    ::setsid();
    int side = ::open(name, O_RDWR);
    for (int fd : {0, 1, 2}) ::dup2(side, fd);
    pid_t session = ::getsid(0);
    auto status = broker::launch(options(), [&](broker::Client&) {
      findings.expect(::getsid(0) == ::getpid() && ::getsid(0) != session, "the session is root's");
      findings.expect(::open("/dev/tty", O_RDWR) < 0, "there is a controlling terminal");
      char byte = 0;
      findings.expect(::read(0, &byte, 1) == 0, "standard input is not empty");
      for (int fd : {1, 2}) {
        findings.expect(::isatty(fd) == 1, "no terminal to write to");
        findings.expect((::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY, "can read the terminal");
      }
      findings.expect(::signal(SIGPIPE, SIG_IGN) == SIG_IGN, "SIGPIPE ends main");
      return 3;
    });
    ::_exit(status ? *status : 1);
  }
  int ended = 0;
  ::waitpid(shell, &ended, 0);
  ::close(terminal);
  CHECK(WEXITSTATUS(ended) == 3);
  CHECK(findings.text() == "");
}

TEST_CASE("standard descriptors that were closed at the start are /dev/null, not another file") {
  Findings findings;
  pid_t daemon = ::fork();
  if (daemon == 0) {
    for (int fd : {0, 1, 2}) ::close(fd);
    auto status = broker::launch(options(), [&](broker::Client& client) {
      findings.expect(client.load("core", lifecycle()).has_value(), "load");
      for (int fd : {0, 1, 2}) {
        auto path = "/proc/self/fd/" + std::to_string(fd);
        findings.expect(real_path(path.c_str()) == "/dev/null", path);
      }
      return 3;
    });
    ::_exit(status ? *status : 1);
  }
  int ended = 0;
  ::waitpid(daemon, &ended, 0);
  CHECK(WEXITSTATUS(ended) == 3);
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
      for (;;) (void)client.probe("core", lifecycle());
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

TEST_CASE("nothing of a run remains in the kernel, also when main is killed") {
  TemporaryFolder folder;
  auto with_socket = options();
  with_socket.control_socket = folder.path + "/run/trivet.sock";
  auto before = kernel_objects();
  SUBCASE("main returns") {
    auto status = broker::launch(with_socket, [&](broker::Client& client) {
      auto object = client.load("core", lifecycle());
      auto listener = client.control_listener();
      bool again = client.control_listener().has_value();
      return object && listener && !again && ::access(with_socket.control_socket.c_str(), F_OK) == 0
                 ? 5
                 : 6;
    });
    REQUIRE(status.has_value());
    CHECK(*status == 5);
  }
  SUBCASE("main crashes") {
    auto status = broker::launch(with_socket, [](broker::Client& client) {
      auto object = client.load("core", lifecycle());
      ::signal(SIGSEGV, SIG_DFL);  // the test framework's own would report it
      ::raise(SIGSEGV);
      return 0;
    });
    REQUIRE(!status.has_value());
    CHECK(status.error().message.find("signal 11") != std::string::npos);
  }
  SUBCASE("the broker is asked to stop") {
    pid_t daemon = ::fork();
    if (daemon == 0) {
      auto status = broker::launch(with_socket, [](broker::Client& client) {
        auto object = client.load("core", lifecycle());
        sigset_t wanted;
        sigemptyset(&wanted);
        sigaddset(&wanted, SIGTERM);
        int number = 0;
        ::sigwait(&wanted, &number);
        return 42;
      });
      ::_exit(status ? *status : 1);
    }
    while (::access(with_socket.control_socket.c_str(), F_OK) != 0) ::usleep(10000);
    ::usleep(300000);
    ::kill(daemon, SIGTERM);
    int ended = 0;
    ::waitpid(daemon, &ended, 0);
    CHECK(WIFEXITED(ended));
    CHECK(WEXITSTATUS(ended) == 42);
  }
  CHECK(gone_within(before, std::chrono::seconds(5)));
  // The socket's folder was made for it, and is gone with it.
  CHECK(std::filesystem::is_empty(folder.path));
}

TEST_CASE("a control socket in use is refused, a stale one replaced") {
  TemporaryFolder folder;
  auto with_socket = options();
  with_socket.control_socket = folder.path + "/trivet.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, with_socket.control_socket.c_str());
  int other = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(other, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(::listen(other, 1) == 0);
  auto quiet = [](broker::Client&) { return 0; };
  auto refused = broker::launch(with_socket, quiet);
  REQUIRE(!refused);
  CHECK(refused.error().code == EADDRINUSE);
  ::close(other);
  CHECK(broker::launch(with_socket, quiet).has_value());
  CHECK(std::filesystem::is_empty(folder.path));
  with_socket.control_group = "no-such-group";
  CHECK(!broker::launch(with_socket, quiet));
}

int main(int argc, char** argv) {
  if (::geteuid() != 0) {
    std::puts("skipped: needs root");
    return 77;
  }
  doctest::Context context(argc, argv);
  return context.run();
}
