// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>

#include "facts/accounts.h"
#include "facts/cgroup_names.h"
#include "facts/host_facts.h"
#include "facts/proc_process.h"

namespace trivet {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

struct ExecText {
  std::string exe, cwd, args, cgroup;
};

std::vector<std::byte> bytes_of(const auto& event, const std::string& tail = {}) {
  std::vector<std::byte> bytes(sizeof(event) + tail.size());
  std::memcpy(bytes.data(), &event, sizeof(event));
  std::memcpy(bytes.data() + sizeof(event), tail.data(), tail.size());
  return bytes;
}

event_header header(unsigned type, std::uint64_t time_ns, task_key task) {
  event_header head{};
  head.type = static_cast<__u16>(type);
  head.time_ns = time_ns;
  head.task = task;
  return head;
}

std::vector<std::byte> exec_event(task_key task, task_key parent, const std::string& comm,
                                  const ExecText& text, std::uint64_t time_ns = kSecond) {
  process_exec_event event{};
  event.header = header(process_exec_event_id, time_ns, task);
  event.header.cgroup_id = 7;
  event.parent = parent;
  event.login_uid = 0xffffffff;
  event.exe_size = static_cast<__u16>(text.exe.size());
  event.cwd_size = static_cast<__u16>(text.cwd.size());
  event.args_size = static_cast<__u16>(text.args.size());
  event.cgroup_size = static_cast<__u16>(text.cgroup.size());
  std::strncpy(event.comm, comm.c_str(), sizeof(event.comm) - 1);
  return bytes_of(event, text.exe + text.cwd + text.args + text.cgroup);
}

std::vector<std::byte> fork_event(task_key child, task_key parent) {
  process_fork_event event{};
  event.header = header(process_fork_event_id, kSecond, child);
  event.parent = parent;
  return bytes_of(event);
}

std::vector<std::byte> exit_event(task_key task, std::uint64_t time_ns) {
  process_exit_event event{};
  event.header = header(process_exit_event_id, time_ns, task);
  return bytes_of(event);
}

const task_key kInit{100, 1, 0};
const task_key kShell{200, 50, 3};
const std::string kNulSeparated("sh\0-c\0cat x\0", 12);

TEST_CASE("an exec tells the image, its arguments, its unit and its parent") {
  HostFacts facts("/sys/fs/cgroup");
  facts.apply(exec_event(kShell, kInit, "sh",
                         {"/usr/bin/dash", "/root", kNulSeparated, "/system.slice/cron.service"}));
  const auto shell = facts.process(50u);
  REQUIRE(shell);
  CHECK(shell->name == "sh");
  CHECK(shell->exe == "/usr/bin/dash");
  CHECK(shell->cwd == "/root");
  CHECK(shell->args.list() == std::vector<std::string>{"sh", "-c", "cat x"});
  CHECK(shell->unit == "cron.service");
  CHECK(shell->parent.tgid == 1);
  CHECK_FALSE(shell->login_uid);
  CHECK(facts.cgroup_path(7) == "/system.slice/cron.service");
}

TEST_CASE(
    "a forked child is its parent's image until it execs, and a holder keeps the image it got") {
  HostFacts facts("");
  facts.apply(exec_event(kShell, kInit, "sh", {"/bin/sh", "/", kNulSeparated, ""}));
  const task_key child{300, 51, 3};
  const auto forked = facts.apply(fork_event(child, kShell));
  REQUIRE(forked);
  CHECK(forked->name == "sh");
  CHECK(forked->parent.tgid == 50);
  facts.apply(exec_event({300, 51, 4}, kShell, "cat", {"/bin/cat", "/", {}, ""}));
  CHECK(forked->name == "sh");
  CHECK(facts.process(51u)->name == "cat");
}

TEST_CASE("what a process changes about itself makes a new image, and holders keep the old one") {
  HostFacts facts("");
  facts.apply(exec_event(kShell, kInit, "sh", {"/bin/sh", "/root", kNulSeparated, ""}));
  const auto before = facts.process(50u);
  process_change_event event{};
  event.header = header(process_change_event_id, 2 * kSecond, kShell);
  event.euid = 33;
  event.egid = 34;
  event.uid = 35;
  event.cap_effective = 1;
  std::strncpy(event.comm, "worker", sizeof(event.comm));
  const std::string folder = "/var/www";
  event.cwd_size = static_cast<__u16>(folder.size());
  facts.apply(bytes_of(event, folder));
  const auto after = facts.process(50u);
  CHECK(after->uid == 33);
  CHECK(after->gid == 34);
  CHECK(after->real_uid == 35);
  CHECK(after->cap_effective == 1);
  CHECK(after->name == "worker");
  CHECK(after->cwd == "/var/www");
  CHECK(after->exe == "/bin/sh");
  CHECK(before->uid == 0);
  CHECK(before->cwd == "/root");

  // A change of the image before an exec that has come already.
  facts.apply(exec_event({200, 50, 4}, kInit, "cat", {"/bin/cat", "/", {}, ""}));
  facts.apply(bytes_of(event, folder));
  CHECK(facts.process(50u)->name == "cat");
}

TEST_CASE("a process may be told to have ended twice") {
  HostFacts facts("");
  const task_key child{300, 51, 1};
  facts.apply(exec_event(kShell, kInit, "sh", {"/bin/sh", "/", {}, ""}));
  facts.apply(fork_event(child, kShell));
  facts.apply(fork_event({301, 52, 1}, kShell));
  facts.apply(exit_event(child, 2 * kSecond));
  facts.apply(exit_event(child, 3 * kSecond));
  facts.apply(exit_event(kShell, 4 * kSecond));
  // The other child lives, so the parent stays known.
  facts.refresh(100 * kSecond);
  CHECK(facts.process(TaskKey{200, 50, 3}));
}

TEST_CASE("a pid that is used again names the new process, and the old one by its start") {
  HostFacts facts("");
  facts.apply(exec_event({200, 50, 1}, kInit, "old", {"/old", "/", {}, ""}));
  facts.apply(exit_event({200, 50, 1}, 2 * kSecond));
  CHECK_FALSE(facts.process(50u));
  facts.apply(exec_event({900, 50, 1}, kInit, "new", {"/new", "/", {}, ""}));
  CHECK(facts.process(50u)->name == "new");
  CHECK(facts.process(TaskKey{200, 50, 1})->name == "old");
}

TEST_CASE("an exited process is forgotten after the grace time, later if a child of it lives") {
  HostFacts facts("", {.max_processes = 100, .exited_grace_ns = 10 * kSecond});
  const task_key child{300, 51, 1};
  facts.apply(exec_event(kShell, kInit, "sh", {"/bin/sh", "/", {}, ""}));
  facts.apply(fork_event(child, kShell));
  facts.apply(exit_event(kShell, 20 * kSecond));
  facts.refresh(31 * kSecond);
  CHECK(facts.process(TaskKey{200, 50, 3}));
  facts.apply(exit_event(child, 32 * kSecond));
  facts.refresh(60 * kSecond);
  CHECK_FALSE(facts.process(TaskKey{200, 50, 3}));
  CHECK(facts.counts().processes == 0);
}

TEST_CASE("more processes than there is room for push out the oldest that exited, counted") {
  HostFacts facts("", {.max_processes = 10, .exited_grace_ns = 1000 * kSecond});
  for (std::uint32_t i = 1; i <= 50; ++i) {
    facts.apply(exec_event({i, i, 1}, kInit, "x", {"/x", "/", {}, ""}));
    facts.apply(exit_event({i, i, 1}, i * kSecond));
  }
  CHECK(facts.counts().processes == 10);
  CHECK(facts.counts().evicted == 40);
  CHECK(facts.process(TaskKey{50, 50, 1}));
}

TEST_CASE(
    "lost exits neither keep a pid's former owner alive nor let facts grow past their limit") {
  HostFacts facts("", {.max_processes = 1000, .exited_grace_ns = 10 * kSecond});
  for (std::uint32_t i = 1; i <= 30'000; ++i) facts.apply(fork_event({i, i % 3000 + 2, 0}, kInit));
  CHECK(facts.counts().processes <= 1000);
  CHECK(facts.counts().evicted >= 29'000);
  CHECK(facts.process(TaskKey{30'000, 2, 0}));
  facts.apply(fork_event({40'000, 2, 0}, kInit));
  CHECK(facts.process(2u)->key.start_ns == 40'000);
  facts.refresh(1'000 * kSecond);
  CHECK_FALSE(facts.process(TaskKey{30'000, 2, 0}));
}

TEST_CASE(
    "a process that only /proc tells is known by keys of its clock tick until an event names it") {
  HostFacts facts("");
  Process init;
  init.key = {1'230'000'000, 1, 0};
  init.name = "init";
  facts.adopt(init);
  const TaskKey exact{1'234'567'890, 1, 3};
  REQUIRE(facts.process(exact));
  CHECK(facts.process(exact)->name == "init");
  CHECK_FALSE(facts.process(TaskKey{1'229'999'999, 1, 0}));
  CHECK_FALSE(facts.process(TaskKey{1'240'000'000, 1, 0}));
  // Its children, told by the kernel, find it as their parent.
  facts.apply(fork_event({kSecond * 2, 7, 0}, {exact.start_ns, 1, 3}));
  CHECK(facts.process(std::uint32_t{7})->name == "init");
  // What is known better stays.
  facts.apply(exec_event({exact.start_ns, 1, 4}, {}, "better", {"/sbin/init", "/", "", "/"}));
  facts.adopt(init);
  CHECK(facts.process(exact)->name == "better");
  // An exit that names it exactly is its own.
  Process brief;
  brief.key = {kSecond, 9, 0};
  facts.adopt(brief);
  facts.apply(exit_event({kSecond + 5'000'000, 9, 2}, 3 * kSecond));
  CHECK_FALSE(facts.process(std::uint32_t{9}));
}

TEST_CASE("/proc tells what a process is, as far as anybody may read it") {
  const auto pids = proc_processes();
  CHECK(std::ranges::find(pids, static_cast<std::uint32_t>(getpid())) != pids.end());
  const auto self = proc_process(static_cast<std::uint32_t>(getpid()), [](const TaskKey&) {
    return Result<UniqueFd>(UniqueFd(open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
  });
  REQUIRE(self);
  CHECK(self->exe == std::filesystem::read_symlink("/proc/self/exe"));
  CHECK(self->parent.tgid == static_cast<std::uint32_t>(getppid()));
  CHECK(self->uid == geteuid());
  CHECK(self->sid == static_cast<std::uint32_t>(getsid(0)));
  std::ifstream comm("/proc/self/comm"), arguments("/proc/self/cmdline");
  std::string name, first;
  std::getline(comm, name);
  std::getline(arguments, first, '\0');
  CHECK(self->name == name);
  REQUIRE(!self->args.empty());
  CHECK(self->args[0] == first);
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  CHECK(self->key.start_ns / kSecond <= static_cast<std::uint64_t>(now.tv_sec));
  CHECK_FALSE(
      proc_process(0x7fffffff, [](const TaskKey&) { return Result<UniqueFd>(Error{"none"}); }));
}

TEST_CASE("back-fill never replaces a newer image") {
  HostFacts facts("");
  facts.apply(exec_event({200, 50, 5}, kInit, "new", {"/new", "/", {}, ""}));
  facts.apply(exec_event({200, 50, 4}, kInit, "old", {"/old", "/", {}, ""}));
  CHECK(facts.process(50u)->name == "new");
}

TEST_CASE("a record that is shorter than its type or than its own sizes is survived") {
  HostFacts facts("");
  const auto whole = exec_event(kShell, kInit, "sh", {"/bin/sh", "/root", kNulSeparated, "/a"});
  for (std::size_t size = 0; size < whole.size(); ++size) facts.apply(std::span(whole).first(size));
  CHECK(facts.counts().processes <= 1);
}

TEST_CASE("cgroup paths name units as journald does and containers by their short id") {
  const std::string id(64, 'a');
  struct Row {
    std::string path, unit, container;
  };
  for (const auto& row : std::initializer_list<Row>{
           {"/system.slice/nginx.service", "nginx.service", ""},
           {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", ""},
           {"/user.slice/user-1000.slice/user@1000.service/app.slice/x.service",
            "user@1000.service", ""},
           {"/system.slice/docker-" + id + ".scope", "docker-" + id + ".scope", "aaaaaaaaaaaa"},
           {"/docker/" + id, "", "aaaaaaaaaaaa"},
           {"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + id + ".scope",
            "cri-containerd-" + id + ".scope", "aaaaaaaaaaaa"},
           {"/machine.slice/libpod-" + id + ".scope/container", "libpod-" + id + ".scope",
            "aaaaaaaaaaaa"},
           {"/" + id + "b", "", ""},
           {"/", "", ""},
           {"", "", ""}}) {
    CAPTURE(row.path);
    CHECK(unit_of_cgroup(row.path) == row.unit);
    CHECK(short_container_id(container_of_cgroup(row.path)) == row.container);
  }
}

TEST_CASE("names of users and groups follow their files") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("trivet-accounts-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  const auto write = [&](const char* name, const char* text) {
    std::ofstream(folder / name) << text;
  };
  write("passwd", "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/:/bin/false\n");
  write("group", "root:x:0:\n");
  Accounts accounts(folder);
  CHECK(accounts.user_name(33) == "web");
  CHECK(accounts.group_name(0) == "root");
  CHECK_FALSE(accounts.user_name(34));
  std::filesystem::remove(folder / "passwd");
  accounts.refresh();
  CHECK(accounts.user_name(33) == "web");
  write("passwd", "new:x:34:34::/:/bin/false\n");
  accounts.refresh();
  CHECK(accounts.user_name(34) == "new");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace trivet
