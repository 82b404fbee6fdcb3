// SPDX-License-Identifier: Apache-2.0
// Which CPUs share a ring of a lane that has several: producers that are many slow each other down
// at one ring, and a ring of its own for each CPU wastes memory on those that are idle.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace trivet::broker {

struct CpuGroups {
  std::uint32_t count = 1;              // at least one
  std::vector<std::uint32_t> group_of;  // of each possible CPU, by number
};

// Groups of four of the CPUs that are online, 16 groups at most; CPUs that may come online later
// are dealt out among them. The texts are lists as in /sys/devices/system/cpu/{possible,online}:
// "0-3,8". One that cannot be read counts as one CPU.
CpuGroups group_cpus(std::string_view possible, std::string_view online);
// The same for this machine.
CpuGroups read_cpu_groups();

// Bytes of each ring, a power of two, where `count` of them share `total`, a power of two.
std::uint32_t shard_bytes(std::uint32_t total, std::uint32_t count);

}  // namespace trivet::broker
