// SPDX-License-Identifier: Apache-2.0
#include "daemon/broker_host_files.h"

#include <utility>

namespace trivet {

Result<std::vector<HostFiles::Named>> BrokerHostFiles::container_state(const std::string& id) {
  auto lent = broker_.container_state(id);
  if (!lent) return std::move(lent).error();
  std::vector<Named> files;
  for (auto& file : *lent) files.push_back({std::move(file.name), std::move(file.fd)});
  return files;
}

Result<UniqueFd> BrokerHostFiles::environment(const TaskKey& task) {
  return broker_.process_environment(task.tgid, task.start_ns);
}

Result<UniqueFd> BrokerHostFiles::executable(const TaskKey& task) {
  return broker_.process_executable(task.tgid, task.start_ns);
}

}  // namespace trivet
