// SPDX-License-Identifier: Apache-2.0
#include "query/container_table.h"

#include <vector>

namespace trivet {
namespace {

constexpr std::size_t kShortId = 12;

ContainerRow row_of(const Container& container) {
  ContainerRow row;
  row.container_id = container.id.substr(0, kShortId);
  row.full_id = container.id;
  row.runtime = container.runtime;
  row.name = container.name;
  row.image = container.image;
  row.image_id = container.image_id;
  row.image_digest = container.image_digest;
  row.pod = container.pod_name;
  row.pod_namespace = container.pod_namespace;
  row.pod_uid = container.pod_uid;
  row.privileged = container.privileged;
  row.capabilities = container.capabilities;
  for (const auto& mount : container.mounts)
    row.mounts.push_back(mount.source + ':' + mount.destination + (mount.read_only ? ":ro" : ""));
  for (const auto& [name, value] : container.labels) row.labels.items.emplace_back(name, value);
  if (container.started_ns != 0) row.started = Time{container.started_ns};
  return row;
}

}  // namespace

LiveTable container_table(const Facts& facts) {
  return {
      &ContainerRow::schema(), [&facts](const std::function<void(const void*)>& visit) {
        std::vector<ContainerRef> running;
        facts.each_container([&](const ContainerRef& container) { running.push_back(container); });
        for (const auto& container : running) {
          const ContainerRow row = row_of(*container);
          visit(&row);
        }
      }};
}

}  // namespace trivet
