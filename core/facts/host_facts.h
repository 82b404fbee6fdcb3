// SPDX-License-Identifier: Apache-2.0
// The one copy of host facts in the daemon. The reader thread applies events in time
// order; any thread looks up. Bounded: exited processes stay for a grace time (longer while a child
// lives), and past max_processes the oldest exited ones go first, then any.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <shared_mutex>
#include <span>
#include <string>
#include <unordered_map>

#include "core/lifecycle.h"
#include "facts/accounts.h"
#include "facts/inspector.h"
#include "facts/sockets.h"
#include "facts/this_host.h"
#include "trivet/facts.h"

namespace trivet {

class HostFacts final : public Facts {
 public:
  struct Limits {
    std::size_t max_processes = 200'000;
    std::uint64_t exited_grace_ns = 10'000'000'000;
    SocketTable::Limits sockets;
  };
  struct Counts {
    std::size_t processes;  // known, exited ones included
    std::uint64_t evicted;  // forgotten early for lack of room
    SocketTable::Counts sockets;
    Inspector::Counts inspector;
  };

  // Without `files` containers, environments and hashes stay unknown. `witness`, if any, outlives
  // this.
  HostFacts(std::string cgroup_root, Limits limits, std::unique_ptr<HostFiles> files = nullptr,
            FactsWitness* witness = nullptr);
  explicit HostFacts(std::string cgroup_root) : HostFacts(std::move(cgroup_root), Limits()) {}

  // What the event says of its process: the core's events change the facts, others look up. Returns
  // the event's process (a fork's child), nullptr if unknown. Reader thread only. `bytes` is a
  // whole record whose size the reader has checked against its header, not against its type.
  ProcessRef apply(std::span<const std::byte> bytes);

  // A process that only /proc tells, whose start is known to the clock's tick: until an event says
  // it exactly, keys within that tick find it. Changes nothing where that process is known. As
  // apply().
  void adopt(Process process);

  // Forgets what has been gone for long enough, and reads changed account files and the interfaces.
  // Any one thread.
  void refresh(std::uint64_t now_ns);
  // The first part of it.
  void forget(std::uint64_t now_ns);

  // A record that no lane carried. Of processes as apply(); of sockets between the next two, on any
  // one thread.
  void apply_snapshot(std::span<const std::byte> bytes);
  // Around a snapshot of all sockets that was begun at `start_ns`; see SocketTable.
  void begin_socket_snapshot();
  void end_socket_snapshot(std::uint64_t start_ns);

  // All that is known now of processes and open sockets, as records, and what was found out of
  // containers, environments, hashes and accounts. Reader thread, so that no event comes between.
  void tell(FactsWitness& witness) const;

  Counts counts() const;

  ProcessRef process(const TaskKey& key) const override;
  ProcessRef process(std::uint32_t tgid) const override;
  void each_process(const std::function<void(const ProcessRef&)>& visit) const override;
  Environment environment(const Process& process,
                          std::chrono::milliseconds patience) const override;
  std::optional<std::string> exe_sha256(const Process& process,
                                        std::chrono::milliseconds patience) const override;
  SocketRef socket(std::uint64_t cookie) const override { return sockets_.find(cookie); }
  void each_socket(const std::function<void(const SocketRef&)>& visit) const override {
    sockets_.each(visit);
  }
  ContainerRef container(std::string_view id) const override;
  void each_container(const std::function<void(const ContainerRef&)>& visit) const override;
  std::optional<std::string> user_name(std::uint32_t uid) const override;
  std::optional<std::string> group_name(std::uint32_t gid) const override;
  std::string cgroup_path(std::uint64_t cgroup_id) const override;
  std::string cgroup_root() const override { return cgroup_root_; }
  const HostIdentity& host() const override { return host_; }
  std::shared_ptr<const std::vector<Interface>> interfaces() const override {
    return interfaces_.list();
  }
  std::int64_t boot_to_real_ns() const override;

 private:
  // A process by (tgid, start): images replace each other in it.
  struct Identity {
    std::uint64_t start_ns;
    std::uint32_t tgid;
    bool operator==(const Identity&) const = default;
  };
  struct IdentityHash {
    std::size_t operator()(const Identity& id) const {
      return std::hash<std::uint64_t>()(id.start_ns * 0x9E3779B97F4A7C15ull ^ id.tgid);
    }
  };
  struct Entry {
    ProcessRef image;
    std::uint64_t exited_ns = 0;  // 0 while it lives
    std::uint32_t living_children = 0;
    bool coarse = false;  // its start is known to the tick
  };
  using Processes = std::unordered_map<Identity, Entry, IdentityHash>;
  struct Gone {
    std::uint64_t exited_ns;
    Identity identity;
  };

  static Identity identity(const TaskKey& key) { return {key.start_ns, key.tgid}; }
  ProcessRef apply_fork(const process_fork_event& event);
  ProcessRef apply_exec(const process_exec_event& event, std::span<const std::byte> tail);
  ProcessRef apply_exit(const process_exit_event& event);
  ProcessRef apply_change(const process_change_event& event, std::span<const std::byte> tail);
  void insert(ProcessRef image);
  void mark_coarse(const TaskKey& key);
  // These hold the lock already.
  Processes::const_iterator find(const TaskKey& key) const;
  void mark_exited(const Identity& id, std::uint64_t exited_ns);
  void evict(const Identity& newest);
  void forget_gone(std::uint64_t now_ns);

  const std::string cgroup_root_;
  const HostIdentity host_;
  const Limits limits_;
  FactsWitness* const witness_;
  Accounts accounts_;
  SocketTable sockets_;
  Interfaces interfaces_;
  mutable std::shared_mutex mutex_;
  Processes processes_;
  std::unordered_map<std::uint32_t, Identity> living_;  // by tgid
  std::deque<Gone> gone_;                               // by time of exit
  std::unordered_map<std::uint64_t, std::string> cgroups_;
  std::uint64_t evicted_ = 0;
  const std::unique_ptr<Inspector> inspector_;
};

}  // namespace trivet
