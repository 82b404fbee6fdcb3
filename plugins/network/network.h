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
#include "network/revisions.h"
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
  void add_verbs();
  Result<void> install(const Policy& policy);
  Result<void> put_in_force(std::shared_ptr<const Policy> policy, const std::string& source);
  Surroundings surroundings() const;
  void follow_surroundings();
  void look_for_subjects();
  void tell_epoch();
  void tick();
  Result<std::string> show_policy(const std::vector<std::string>& arguments) const;
  Result<std::string> apply_policy(const std::vector<std::string>& arguments);
  Result<std::string> confirm_policy();
  Result<std::string> roll_back(const std::string& why);

  Settings settings_;
  std::shared_ptr<const Policy> policy_;
  std::vector<TextFile> set_files_;  // that policies may name
  std::string source_;               // of policy_ as configured
  CompiledPolicy compiled_;

  // Set while started.
  Host* host_ = nullptr;
  std::unique_ptr<Object> object_;
  std::optional<PolicyMaps> maps_;
  Revisions revisions_;
  Surroundings surroundings_;  // that compiled_ is for
  std::optional<Subjects> subjects_;
  std::optional<FlowRecords> flows_;
  std::vector<std::string> unresolved_;  // as last logged
};

}  // namespace trivet::network
