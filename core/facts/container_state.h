// SPDX-License-Identifier: Apache-2.0
// What container runtimes write about a container into files of their own, read into a Container.
// Pure: texts in, description out; the texts are not trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "trivet/facts.h"

namespace trivet {

// One file about a container. Its name says what is in it:
//   "docker config"      Docker's config.v2.json
//   "docker hostconfig"  Docker's hostconfig.json
//   "containerd NAME"    the OCI bundle's config.json in containerd's namespace NAME
//   "storage config"     the OCI bundle's config.json of CRI-O and podman
//   "storage list"       their storage's containers.json, which lists all containers
struct StateFile {
  std::string name;
  std::string text;
  std::int64_t modified_real_ns = 0;  // CLOCK_REALTIME
};

// Nothing where no file describes the container. `boot_to_real_ns` as Facts has it.
std::optional<Container> describe_container(const std::string& id, std::span<const StateFile> files,
                                            std::int64_t boot_to_real_ns);

}  // namespace trivet
