// SPDX-License-Identifier: Apache-2.0
// Root's files about processes and containers, through the broker.
#pragma once

#include "broker/client.h"
#include "facts/host_files.h"

namespace trivet {

// The inspector's thread. The client outlives it.
class BrokerHostFiles final : public HostFiles {
 public:
  explicit BrokerHostFiles(broker::Client& broker) : broker_(broker) {}
  Result<std::vector<Named>> container_state(const std::string& id) override;
  Result<UniqueFd> environment(const TaskKey& task) override;
  Result<UniqueFd> executable(const TaskKey& task) override;

 private:
  broker::Client& broker_;
};

}  // namespace trivet
