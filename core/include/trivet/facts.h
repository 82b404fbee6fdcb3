// SPDX-License-Identifier: Apache-2.0
// What is known of this host: processes, users, cgroups. One copy in the daemon, owned by the core
// and filled from lifecycle events; every plugin sees the same world. Lookups answer at once,
// "unknown" (nullptr, nullopt, empty) if need be: enrichment never waits.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trivet {

// A process image: never a bare pid. tgid 0 means no task.
struct TaskKey {
  std::uint64_t start_ns = 0;
  std::uint32_t tgid = 0;
  std::uint32_t exec_count = 0;

  bool same_process(const TaskKey& other) const {
    return tgid == other.tgid && start_ns == other.start_ns;
  }
  auto operator<=>(const TaskKey&) const = default;
};

// One process image as it was at its last fork or exec. Immutable: a change makes a new Process, so
// that a holder of a ProcessRef sees the image that caused its event.
struct Process {
  TaskKey key;
  TaskKey parent;                 // its parent when it was last seen; tgid 0 where unknown
  std::string name;               // comm, as /proc/PID/comm
  std::string exe;                // path of the executable, resolved by the kernel
  std::string cwd;                // working directory; empty where unknown
  std::vector<std::string> args;  // argv with argv[0]; cut at 4096 bytes in all
  bool args_truncated = false;
  std::uint32_t vpid = 0;  // pid in its own pid namespace
  std::uint32_t pgid = 0;
  std::uint32_t sid = 0;
  std::uint32_t tty = 0;  // device number (Falco's proc.tty); 0 for none
  std::uint32_t uid = 0;  // effective
  std::uint32_t gid = 0;  // effective
  std::uint32_t real_uid = 0;
  std::optional<std::uint32_t> login_uid;  // audit login uid; none where unset
  std::uint64_t cap_effective = 0;
  std::uint64_t cap_permitted = 0;
  std::uint64_t exe_inode = 0;
  std::uint64_t exe_ctime_ns = 0;  // CLOCK_REALTIME
  std::uint64_t exe_mtime_ns = 0;  // CLOCK_REALTIME
  bool exe_writable = false;
  bool exe_upper_layer = false;  // from the upper layer of an overlay file system
  bool exe_memfd = false;
  std::uint32_t pid_namespace = 0;  // inode numbers
  std::uint32_t net_namespace = 0;
  std::uint32_t mount_namespace = 0;
  bool host_namespaces = true;  // shares the initial pid namespace
  std::uint64_t cgroup_id = 0;
  std::string cgroup;         // path below the cgroup2 root, with a leading slash
  std::string unit;           // systemd unit by cgroup path; empty where there is none
  std::string container_id;   // first 12 hex digits as runtimes print it; empty on the host
  std::uint64_t exec_ns = 0;  // when this image started, CLOCK_BOOTTIME
};

using ProcessRef = std::shared_ptr<const Process>;

// Thread-safe; owned by the core, lives as long as every plugin.
class Facts {
 public:
  virtual ~Facts() = default;

  // The newest image of that process (exec_count is not compared); nullptr if unknown. Exited
  // processes stay known for some seconds, and while they have living children.
  virtual ProcessRef process(const TaskKey& key) const = 0;
  // The living process of that pid.
  virtual ProcessRef process(std::uint32_t tgid) const = 0;
  // Calls visit for each known living process, in no order.
  virtual void each_process(const std::function<void(const ProcessRef&)>& visit) const = 0;

  virtual std::optional<std::string> user_name(std::uint32_t uid) const = 0;
  virtual std::optional<std::string> group_name(std::uint32_t gid) const = 0;
  // Path below the cgroup2 root for an id seen in events; empty if unknown.
  virtual std::string cgroup_path(std::uint64_t cgroup_id) const = 0;
  // Where the cgroup2 hierarchy is mounted on this host, from /proc/self/mountinfo.
  virtual std::string cgroup_root() const = 0;
  virtual std::string hostname() const = 0;
  // Add to a CLOCK_BOOTTIME value in ns for CLOCK_REALTIME in ns.
  virtual std::int64_t boot_to_real_ns() const = 0;
};

}  // namespace trivet
