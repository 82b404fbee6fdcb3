// SPDX-License-Identifier: Apache-2.0
// What this host is, and its network interfaces, from files and calls that anybody may use.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "trivet/facts.h"

namespace trivet {

// uname(2), os-release(5), machine-id(5), sysconf(3). What cannot be read is empty or 0.
HostIdentity read_host_identity();

// The interfaces of this process's network namespace (getifaddrs(3)), by index.
std::vector<Interface> read_interfaces();

// The interfaces as of the last refresh(). Thread-safe.
class Interfaces {
 public:
  Interfaces() { refresh(); }
  void refresh();
  std::shared_ptr<const std::vector<Interface>> list() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const std::vector<Interface>> list_;
};

}  // namespace trivet
