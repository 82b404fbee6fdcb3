// SPDX-License-Identifier: Apache-2.0
// The table `containers`: those with a living process, as their runtimes' files describe them.
#pragma once

#include <string>
#include <vector>

#include "query/live_table.h"
#include "trivet/facts.h"
#include "trivet/record.h"

namespace trivet {

#define TRIVET_CONTAINER_ROW_COLUMNS(X, R)                                                      \
  X(R, std::string, container_id, none, always, "container.id", "First 12 digits of its id")    \
  X(R, std::string, full_id, none, detail, "", "All 64 digits")                                 \
  X(R, std::string, runtime, none, always, "container.runtime.name",                            \
    "docker, containerd, cri-o or podman")                                                      \
  X(R, std::string, name, none, always, "container.name", "Its name")                           \
  X(R, std::string, image, none, always, "container.image.name", "Image as it was asked for")   \
  X(R, std::string, image_id, none, detail, "container.image.id", "Id of the image")            \
  X(R, std::string, image_digest, none, detail, "container.image.repo_digests",                 \
    "Digest of the image; empty where the runtime notes none")                                  \
  X(R, std::string, pod, none, always, "k8s.pod.name", "Kubernetes' pod; empty outside of one") \
  X(R, std::string, pod_namespace, none, detail, "k8s.namespace.name", "Namespace of the pod")  \
  X(R, std::string, pod_uid, none, detail, "k8s.pod.uid", "Id of the pod")                      \
  X(R, bool, privileged, none, always, "", "Whether it has every right of the host")            \
  X(R, std::uint64_t, capabilities, none, detail, "", "Capabilities it may have, as bits")      \
  X(R, std::vector<std::string>, mounts, none, detail, "",                                      \
    "source:destination of each mount, with :ro where read-only")                               \
  X(R, ::trivet::Fields, labels, none, detail, "container.label", "Labels by name")             \
  X(R, std::optional<::trivet::Time>, started, nanoseconds, always, "",                         \
    "When it was started; none where unknown")

TRIVET_RECORD(ContainerRow, "containers", 1, "Containers with a living process",
              TRIVET_CONTAINER_ROW_COLUMNS);

// `facts` must outlive the table.
LiveTable container_table(const Facts& facts);

}  // namespace trivet
