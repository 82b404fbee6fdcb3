// SPDX-License-Identifier: Apache-2.0
// The files of root's that host facts are completed from. The daemon opens them through the broker,
// tests where they like.
#pragma once

#include <string>
#include <vector>

#include "broker/unique_fd.h"
#include "trivet/facts.h"
#include "trivet/result.h"

namespace trivet {

class HostFiles {
 public:
  struct Named {
    std::string name;  // as StateFile::name
    UniqueFd file;
  };

  virtual ~HostFiles() = default;
  // What runtimes keep about the container with that id of 64 digits.
  virtual Result<std::vector<Named>> container_state(const std::string& id) = 0;
  virtual Result<UniqueFd> environment(const TaskKey& task) = 0;
  virtual Result<UniqueFd> executable(const TaskKey& task) = 0;
};

}  // namespace trivet
