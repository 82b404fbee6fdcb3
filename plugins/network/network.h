// SPDX-License-Identifier: Apache-2.0
// The network plugin: policy for processes' connections, and their flows. configure() on the main
// thread, everything else on the plugin's worker.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "network/flow_records.h"
#include "network/policy_compiler.h"
#include "network/policy_maps.h"
#include "network/subjects.h"
#include "trivet/plugin.h"

namespace trivet::network {

// What [network] says. Each value's default is the one in config/trivet.toml.
struct Settings {
  std::int64_t flow_interval_s = 5;
  std::int64_t udp_idle_s = 30;
  std::int64_t udp_flows = 16384;
  std::int64_t denials_per_second = 100;
};

class NetworkPlugin final : public Plugin {
 public:
  Result<void> configure(const Config& config) override;
  std::vector<ObjectSpec> objects() const override;
  Result<void> start(Host& host) override;
  bool adopt(Plugin& next) override;
  void stop() noexcept override;

 private:
  ObjectSpec object() const;
  Result<void> install(const Policy& policy);
  Surroundings surroundings() const;
  void follow_surroundings();
  void look_for_subjects();
  void tell_epoch();
  void tick();
  Result<std::string> show_policy(const std::vector<std::string>& arguments) const;

  Settings settings_;
  Policy policy_;
  CompiledPolicy compiled_;

  // Set while started.
  Host* host_ = nullptr;
  std::unique_ptr<Object> object_;
  std::optional<PolicyMaps> maps_;
  Surroundings surroundings_;  // that compiled_ is for
  std::optional<Subjects> subjects_;
  std::optional<FlowRecords> flows_;
  std::vector<std::string> unresolved_;  // as last logged
};

}  // namespace trivet::network
