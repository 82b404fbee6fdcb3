// SPDX-License-Identifier: Apache-2.0
// The values of the label service_name: what a process belongs to, a bounded number of them. Owned
// by the plugin; its worker thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>

#include "trivet/facts.h"

namespace trivet::tracing {

// A label's value as long as there are fewer than `most`, else "_OTHER", which all others share.
std::string admitted(std::unordered_set<std::string>& values, std::string value, std::size_t most);

class Services {
 public:
  explicit Services(const Facts& facts) : facts_(facts) {}
  // Its container's name, else its service; empty where it has neither.
  std::string of(const std::string& container_id, std::string_view unit);

 private:
  const Facts& facts_;
  std::unordered_set<std::string> admitted_;
};

}  // namespace trivet::tracing
