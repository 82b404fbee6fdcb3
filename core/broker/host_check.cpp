// SPDX-License-Identifier: Apache-2.0
#include "broker/host_check.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "broker/cgroup_root.h"
#include "broker/privileges.h"
#include "broker/unique_fd.h"

namespace trivet::broker {
namespace {

HostCondition good(std::string name, std::string sentence) {
  return {std::move(name), Fitness::good, std::move(sentence)};
}
HostCondition limited(std::string name, std::string sentence) {
  return {std::move(name), Fitness::limited, std::move(sentence)};
}
HostCondition unfit(std::string name, std::string sentence) {
  return {std::move(name), Fitness::unfit, std::move(sentence)};
}

std::string text_of(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

HostCondition kernel() {
  utsname name{};
  int major = 0;
  int minor = 0;
  ::uname(&name);
  const std::string release = "Linux " + std::string(name.release);
  if (std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
      (major < 6 || (major == 6 && minor < 1))) {
    return unfit("kernel",
                 release + " is too old: trivet needs 6.1 or newer, such as Debian 12's own");
  }
  return good("kernel", release);
}

HostCondition user() {
  if (::geteuid() != 0) {
    return unfit("user", "trivet needs root to load kernel programs; run it with sudo");
  }
  unsigned long inside = 0;
  unsigned long outside = 0;
  unsigned long count = 0;
  if (std::sscanf(text_of("/proc/self/uid_map").c_str(), "%lu %lu %lu", &inside, &outside,
                  &count) == 3 &&
      (outside != 0 || count != 4294967295UL)) {
    return unfit(
        "user",
        "this root is one of a user namespace, from which the kernel takes no programs: run "
        "trivet as the host's root (a container without user namespaces)");
  }
  return good("user", "root");
}

HostCondition types() {
  if (::access("/sys/kernel/btf/vmlinux", R_OK) == 0) {
    return good("types", "the kernel describes its types (BTF)");
  }
  return unfit(
      "types",
      "this kernel does not describe its types (/sys/kernel/btf/vmlinux is missing): trivet "
      "needs one built with CONFIG_DEBUG_INFO_BTF, as distributions build theirs");
}

// "CAP_BPF (programs, maps, links, iterators) and CAP_KILL (...)" of those that are missing.
std::string missing_capabilities(std::uint64_t held, bool required) {
  std::vector<std::string> names;
  for (const BrokerCapability& one : broker_capabilities()) {
    if (one.required == required && (held >> one.number & 1) == 0) {
      names.push_back(std::string(one.name) + " (" + one.purpose + ")");
    }
  }
  std::string text;
  for (std::size_t i = 0; i < names.size(); i++) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  return text;
}

HostCondition capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  ::syscall(SYS_capget, &header, sets.data());
  const std::uint64_t held = sets[0].effective | std::uint64_t{sets[1].effective} << 32;
  constexpr const char* remedy =
      "; give it what is missing (--cap-add of a container, CapabilityBoundingSet= of a unit)";
  if (auto missing = missing_capabilities(held, true); !missing.empty()) {
    return unfit("capabilities", "this process lacks " + missing + remedy);
  }
  if (auto missing = missing_capabilities(held, false); !missing.empty()) {
    return limited("capabilities", "this process lacks " + missing + remedy);
  }
  return good("capabilities", "all that trivet uses");
}

HostCondition bpf() {
  UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "attempt", 4, 4, 1, nullptr));
  if (map) return good("bpf", "maps and programs are accepted");
  if (errno == ENOSYS) {
    return unfit(
        "bpf", "bpf(2) is missing: a seccomp filter hides it, or the kernel was built without it");
  }
  return unfit("bpf", system_error(errno, "bpf(2) is refused").message +
                          ": a seccomp filter, as container runtimes set one, or a security module "
                          "forbids it to this process");
}

std::string lockdown_mode() {
  const std::string modes = text_of("/sys/kernel/security/lockdown");
  const auto from = modes.find('[');
  const auto to = modes.find(']');
  return from == modes.npos || to == modes.npos ? std::string()
                                                : modes.substr(from + 1, to - from - 1);
}

// Whether programs may read the kernel's memory, which lockdown forbids in its stricter mode.
HostCondition lockdown() {
  // r3 = 0; r2 = 8; r1 = r10 - 8; call probe_read_kernel; r0 = 0; exit
  constexpr std::array<bpf_insn, 7> reading = {{
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 8},
      {BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_10, 0, 0},
      {BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, -8},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_probe_read_kernel},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  }};
  const std::string mode = lockdown_mode();
  const std::string told = mode.empty() ? "" : "lockdown is \"" + mode + "\"; ";
  UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_TRACEPOINT, "attempt", "GPL", reading.data(),
                                 reading.size(), nullptr));
  if (program) return good("lockdown", told + "kernel programs may read the kernel's memory");
  return unfit("lockdown",
               told +
                   "kernel programs may not read the kernel's memory, as all of trivet's do: boot "
                   "with lockdown=integrity or none");
}

HostCondition cgroups() {
  const auto root = cgroup_root();
  if (!root) {
    return limited("cgroup2", root.error().message +
                                  "; without it network and tracing do not run, and no container "
                                  "or unit is known");
  }
  const std::string mounts = text_of("/proc/self/mountinfo");
  if (mounts.find(" - cgroup ") == mounts.npos) return good("cgroup2", "at " + *root);
  return good("cgroup2", "at " + *root +
                             ", beside version 1 (hybrid): containers and units are known where "
                             "their processes have been put into cgroup2 as well");
}

HostCondition locked_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string size = limit.rlim_cur == RLIM_INFINITY
                               ? "unlimited"
                               : std::to_string(limit.rlim_cur / 1024) + " KiB";
  return good("memlock", size + "; it does not matter: maps are charged to the memory cgroup");
}

}  // namespace

std::string_view to_string(Fitness fitness) {
  switch (fitness) {
    case Fitness::good:
      return "good";
    case Fitness::limited:
      return "limited";
    case Fitness::unfit:
      return "unfit";
  }
  return {};
}

std::vector<HostCondition> host_conditions() {
  std::vector<HostCondition> found;
  for (auto* look : {kernel, user, types, capabilities, bpf, lockdown, cgroups, locked_memory}) {
    found.push_back(look());
    if (found.back().fitness == Fitness::unfit) break;
  }
  return found;
}

Result<void> check_host(const std::function<void(std::string_view)>& warn) {
  for (HostCondition& condition : host_conditions()) {
    if (condition.fitness == Fitness::unfit)
      return Error{std::move(condition.sentence), EOPNOTSUPP};
    if (condition.fitness == Fitness::limited && warn) warn(condition.sentence);
  }
  return {};
}

}  // namespace trivet::broker
