// SPDX-License-Identifier: Apache-2.0
#include "tracing/services.h"

#include <utility>

namespace trivet::tracing {
namespace {

constexpr std::size_t max_services = 256;
constexpr std::string_view unit_suffix = ".service";
constexpr std::string_view transient_prefix = "run-";  // systemd-run's: a new name each time

}  // namespace

std::string admitted(std::unordered_set<std::string>& values, std::string value, std::size_t most) {
  if (value.empty() || values.contains(value)) return value;
  if (values.size() >= most) return "_OTHER";
  values.insert(value);
  return value;
}

std::string Services::of(const std::string& container_id, std::string_view unit) {
  std::string service;
  if (!container_id.empty()) {
    const ContainerRef container = facts_.container(container_id);
    service = container && !container->name.empty() ? container->name : container_id;
  } else if (unit.ends_with(unit_suffix) && !unit.starts_with(transient_prefix)) {
    service = unit.substr(0, unit.size() - unit_suffix.size());
  }
  return admitted(admitted_, std::move(service), max_services);
}

}  // namespace trivet::tracing
