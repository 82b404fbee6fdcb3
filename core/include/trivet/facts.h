// SPDX-License-Identifier: Apache-2.0
// What is known of this host: itself, processes, sockets, containers, users, cgroups. One copy in
// the daemon, owned by the core and filled from events; every plugin sees the same world. Lookups
// answer at once, "unknown" (nullptr, nullopt, empty) if need be: enrichment never waits. Only what
// takes a patience may wait, and no longer than that.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trivet/value.h"

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

// The arguments of a process: a list that its forked children share instead of copying.
class Arguments {
 public:
  Arguments() = default;
  Arguments(std::vector<std::string> list)
      : list_(list.empty() ? nullptr
                           : std::make_shared<const std::vector<std::string>>(std::move(list))) {}
  Arguments(std::initializer_list<std::string> list) : Arguments(std::vector<std::string>(list)) {}

  const std::vector<std::string>& list() const {
    static const std::vector<std::string> none;
    return list_ ? *list_ : none;
  }
  operator const std::vector<std::string>&() const { return list(); }
  const std::string& front() const { return list().front(); }
  auto begin() const { return list().begin(); }
  auto end() const { return list().end(); }
  std::size_t size() const { return list().size(); }
  bool empty() const { return !list_; }
  const std::string& operator[](std::size_t i) const { return list()[i]; }
  bool operator==(const Arguments& other) const { return list() == other.list(); }

 private:
  std::shared_ptr<const std::vector<std::string>> list_;
};

// One process image as it was at its last fork, exec or told change. Immutable: a change makes a
// new Process, so that a holder of a ProcessRef sees the image that caused its event.
struct Process {
  TaskKey key;
  TaskKey parent;    // its parent when it was last seen; tgid 0 where unknown
  std::string name;  // comm, as /proc/PID/comm
  std::string exe;   // path of the executable, resolved by the kernel
  std::string cwd;   // working directory; empty where unknown
  Arguments args;    // argv with argv[0]; cut at 4096 bytes in all
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

// An internet socket as it was last told, of any network namespace. Immutable, as Process is.
struct Socket {
  std::uint64_t cookie = 0;
  std::uint8_t protocol = 0;  // IPPROTO_TCP, IPPROTO_UDP, ...
  std::uint8_t state = 0;     // as tcp_states.h numbers them, for every protocol; 7: closed
  bool listening = false;
  IpAddress local;               // :: and 0.0.0.0 where bound to no address; none where unknown
  IpAddress remote;              // none where it has no peer
  std::uint16_t local_port = 0;  // 0 where unknown
  std::uint16_t remote_port = 0;
  TaskKey owner;  // who opened or accepted it, or was last found to hold it; tgid 0: unknown
  std::uint64_t cgroup_id = 0;      // of the owner
  std::uint32_t net_namespace = 0;  // inode number; 0 where unknown
  std::uint64_t since_ns = 0;       // when it was first told, CLOCK_BOOTTIME
};

using SocketRef = std::shared_ptr<const Socket>;

struct ContainerMount {
  std::string source;       // on the host; a type such as "tmpfs" where it is no folder of the host
  std::string destination;  // in the container
  bool read_only = false;
  std::string propagation;  // "rprivate", "rshared", ...; empty where unknown
};

// A container as its runtime's own files describe it. Immutable, as Process is.
struct Container {
  std::string id;            // all 64 digits
  std::string runtime;       // "docker", "containerd", "cri-o", "podman"
  std::string name;          // Kubernetes' name of the container where there is one
  std::string image;         // as it was asked for: "docker.io/library/nginx:1.22"
  std::string image_id;      // without "sha256:"; empty where unknown
  std::string image_digest;  // "sha256:..." where the runtime notes one
  std::vector<std::pair<std::string, std::string>>
      labels;            // sorted; annotations where it has no labels
  std::string pod_name;  // Kubernetes'; empty outside of a pod
  std::string pod_namespace;
  std::string pod_uid;
  bool privileged =
      false;  // every capability and no seccomp filter, where the runtime does not say
  std::uint64_t capabilities = 0;  // bounding set that its first process gets
  std::vector<ContainerMount> mounts;
  std::uint64_t started_ns = 0;  // CLOCK_BOOTTIME; 0 where unknown
};

using ContainerRef = std::shared_ptr<const Container>;

// This host, as it was when the daemon started.
struct HostIdentity {
  std::string name;          // hostname
  std::string os;            // PRETTY_NAME of os-release(5): "Debian GNU/Linux 12 (bookworm)"
  std::string kernel;        // release, as uname -r
  std::string architecture;  // as uname -m
  std::string machine_id;    // machine-id(5); empty where there is none
  std::string boot_id;       // another one with each boot
  std::uint32_t cpus = 0;    // online
  std::uint64_t memory_bytes = 0;
  std::uint32_t daemon_pid = 0;  // of trivet's main process
};

// A network interface of the daemon's own network namespace.
struct Interface {
  struct Address {
    IpAddress address;
    std::uint8_t prefix = 0;  // bits
  };
  std::uint32_t index = 0;
  std::string name;
  std::string hardware_address;  // "02:fc:00:00:00:05"; empty where it has none
  std::uint32_t mtu = 0;
  bool up = false;
  bool loopback = false;
  std::vector<Address> addresses;
};

// Which of some host names an address has, by this host's resolver. Thread-safe.
class AddressNames {
 public:
  virtual ~AddressNames() = default;
  // Empty for an address that none of the names has, and until the first answers.
  virtual std::vector<std::string> of(const IpAddress& address) const = 0;
};

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

  // NAME=value of the process as it was started, cut at 32 KiB in all; nullptr if unknown: it has
  // gone, or took longer to read than `patience`. What was read once is kept with the image for
  // some seconds.
  using Environment = std::shared_ptr<const std::vector<std::string>>;
  virtual Environment environment(const Process& process,
                                  std::chrono::milliseconds patience) const = 0;
  // SHA-256 of the process's executable in hex, as the file is now, which is the one that runs: its
  // inode is compared. nullopt if unknown: it has gone, is larger than 256 MiB, or took longer than
  // `patience`; a later call may know it.
  virtual std::optional<std::string> exe_sha256(const Process& process,
                                                std::chrono::milliseconds patience) const = 0;

  // The socket of that cookie; closed ones stay known for some seconds. nullptr if unknown.
  virtual SocketRef socket(std::uint64_t cookie) const = 0;
  // Calls visit for each known open socket, in no order.
  virtual void each_socket(const std::function<void(const SocketRef&)>& visit) const = 0;

  // The container of that id, short (Process::container_id) or whole; nullptr until its runtime's
  // files have been read, and where there are none.
  virtual ContainerRef container(std::string_view id) const = 0;
  // Calls visit for each known container with a living process, in no order.
  virtual void each_container(const std::function<void(const ContainerRef&)>& visit) const = 0;

  virtual std::optional<std::string> user_name(std::uint32_t uid) const = 0;
  virtual std::optional<std::string> group_name(std::uint32_t gid) const = 0;
  // Path below the cgroup2 root for an id seen in events; empty if unknown.
  virtual std::string cgroup_path(std::uint64_t cgroup_id) const = 0;
  // Where the cgroup2 hierarchy is mounted on this host, from /proc/self/mountinfo.
  virtual std::string cgroup_root() const = 0;
  virtual const HostIdentity& host() const = 0;
  // As of the last second, by index; never null.
  virtual std::shared_ptr<const std::vector<Interface>> interfaces() const = 0;
  // Add to a CLOCK_BOOTTIME value in ns for CLOCK_REALTIME in ns.
  virtual std::int64_t boot_to_real_ns() const = 0;
};

}  // namespace trivet
