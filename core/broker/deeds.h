// SPDX-License-Identifier: Apache-2.0
// Deeds of the broker's own that make kernel programs run wherever their hooks fire, so that it can
// be seen whether they do. They change nothing, and nobody but the kernel hears of them.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

namespace trivet::broker {

// Places as programs name them: "tp_btf/sys_exit", "cgroup/connect4"; tracepoints of system calls
// as "syscalls/sys_exit_open".
using Places = std::set<std::string, std::less<>>;

enum class Reach : std::uint8_t {
  quiet,    // no packet, no connection: nothing that a policy judges or that becomes a flow
  packets,  // datagrams to itself on the loopback interface as well
};

// Does what fires at those of the places that it has a deed for. Answers at which of them programs
// must have run by now, or within the next moment: places it has no deed for, or whose deed this
// host does not allow, are not among them. Takes well under a millisecond. Broker thread.
Places perform_deeds(const Places& wanted, Reach reach);

}  // namespace trivet::broker
