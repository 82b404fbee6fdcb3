// SPDX-License-Identifier: Apache-2.0
// Host facts as a capture has them: nothing of the host that replays it. What a plugin would have
// waited for (environments, hashes) is known from the beginning, all else from its place in the
// file on. One thread.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>

#include "capture/contents.h"
#include "capture/format.h"
#include "facts/host_facts.h"

namespace trivet {

class ReplayedFacts final : public Facts {
 public:
  explicit ReplayedFacts(CapturedHost host);

  // Takes a block that is known from the beginning; false if it is none. An error where it is
  // malformed, or the file holds more of them than a capture does.
  Result<bool> foresee(const Block& block);
  // Takes a block at its place; false if it tells no fact.
  Result<bool> learn(const Block& block);
  // As HostFacts::apply().
  ProcessRef apply(std::span<const std::byte> event) { return processes_.apply(event); }
  // Forgets what had been gone for long enough.
  void forget(std::uint64_t now_ns) { processes_.forget(now_ns); }
  // What the host names of that plugin resolve to at this place.
  std::vector<std::string> names_of(const std::string& plugin, const IpAddress& address) const;

  ProcessRef process(const TaskKey& key) const override { return processes_.process(key); }
  ProcessRef process(std::uint32_t tgid) const override { return processes_.process(tgid); }
  void each_process(const std::function<void(const ProcessRef&)>& visit) const override {
    processes_.each_process(visit);
  }
  Environment environment(const Process& process,
                          std::chrono::milliseconds patience) const override;
  std::optional<std::string> exe_sha256(const Process& process,
                                        std::chrono::milliseconds patience) const override;
  SocketRef socket(std::uint64_t cookie) const override { return processes_.socket(cookie); }
  void each_socket(const std::function<void(const SocketRef&)>& visit) const override {
    processes_.each_socket(visit);
  }
  ContainerRef container(std::string_view id) const override;
  void each_container(const std::function<void(const ContainerRef&)>& visit) const override;
  std::optional<std::string> user_name(std::uint32_t uid) const override;
  std::optional<std::string> group_name(std::uint32_t gid) const override;
  std::string cgroup_path(std::uint64_t cgroup_id) const override {
    return processes_.cgroup_path(cgroup_id);
  }
  std::string cgroup_root() const override { return host_.cgroup_root; }
  const HostIdentity& host() const override { return host_.identity; }
  // None: they are not in captures.
  std::shared_ptr<const std::vector<Interface>> interfaces() const override;
  std::int64_t boot_to_real_ns() const override { return host_.boot_to_real_ns; }

 private:
  Result<void> charge(const Block& block);

  const CapturedHost host_;
  HostFacts processes_;                                          // and sockets, and cgroups
  std::map<std::string, ContainerRef, std::less<>> containers_;  // by short id
  std::map<TaskKey, Environment> environments_;
  std::map<ExeIdentity, std::string> hashes_;
  CapturedAccounts accounts_;
  std::map<std::string, CapturedAddresses> addresses_;  // by plugin
  std::size_t kept_bytes_ = 0;
};

}  // namespace trivet
