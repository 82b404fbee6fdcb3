// SPDX-License-Identifier: Apache-2.0
// Facts of a host with one process and nothing else, for fuzzers.
#pragma once

#include "trivet/facts.h"

namespace trivet {

class QuietFacts final : public Facts {
 public:
  const ProcessRef only = std::make_shared<const Process>(Process{.key = {1, 10, 0},
                                                                  .parent = {1, 10, 0},
                                                                  .name = "cat",
                                                                  .exe = "/usr/bin/cat",
                                                                  .cwd = "/tmp",
                                                                  .args = {"cat", "/etc/shadow"}});

  ProcessRef process(const TaskKey& key) const override { return process(key.tgid); }
  ProcessRef process(std::uint32_t tgid) const override { return tgid == 10 ? only : nullptr; }
  void each_process(const std::function<void(const ProcessRef&)>& visit) const override {
    visit(only);
  }
  Environment environment(const Process&, std::chrono::milliseconds) const override {
    return nullptr;
  }
  std::optional<std::string> exe_sha256(const Process&, std::chrono::milliseconds) const override {
    return std::nullopt;
  }
  SocketRef socket(std::uint64_t) const override { return nullptr; }
  void each_socket(const std::function<void(const SocketRef&)>&) const override {}
  ContainerRef container(std::string_view) const override { return nullptr; }
  void each_container(const std::function<void(const ContainerRef&)>&) const override {}
  std::optional<std::string> user_name(std::uint32_t) const override { return std::nullopt; }
  std::optional<std::string> group_name(std::uint32_t) const override { return "root"; }
  std::string cgroup_path(std::uint64_t) const override { return {}; }
  std::string cgroup_root() const override { return {}; }
  const HostIdentity& host() const override {
    static const HostIdentity identity{.name = "host"};
    return identity;
  }
  std::shared_ptr<const std::vector<Interface>> interfaces() const override {
    return std::make_shared<const std::vector<Interface>>();
  }
  std::int64_t boot_to_real_ns() const override { return 0; }
};

}  // namespace trivet
