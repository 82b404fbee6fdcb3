// SPDX-License-Identifier: Apache-2.0
// What the path of a cgroup says about who lives in it.
#pragma once

#include <string>
#include <string_view>

namespace trivet {

// The system unit of a cgroup path, as journald's _SYSTEMD_UNIT has it: the outermost component
// that names a service, scope or another unit with processes (systemd.unit(5)). Empty if there is
// none.
std::string unit_of_cgroup(std::string_view path);

// The 64-digit id that Docker, containerd, CRI-O and podman put into a container's cgroup path;
// empty if there is none.
std::string container_of_cgroup(std::string_view path);

// Its first 12 digits, as runtimes print it.
std::string short_container_id(std::string_view id);

}  // namespace trivet
