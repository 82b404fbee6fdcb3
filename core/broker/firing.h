// SPDX-License-Identifier: Apache-2.0
// Whether the programs of a loaded object run when they should. The kernel counts runs while
// somebody holds its statistics open; a check holds them for the moment in which deeds are done for
// the programs (deeds.h), so that it costs nothing in between. Programs of cgroups that stand
// between processes and the network are not made to run each time: there the kernel is asked
// whether they are still in place. What nothing is known to make run is not checked.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "broker/deeds.h"
#include "trivet/result.h"

struct bpf_program;

namespace trivet::broker {

// A program that is loaded and attached for a hook, at these places (deeds.h). Borrowed.
struct AttachedProgram {
  std::string hook;
  bpf_program* program = nullptr;
  Places places;
};

struct SilentProgram {
  std::string hook;
  std::string reason;  // "network_connect4 is no longer attached at cgroup/connect4"
};

// How long a program may take until it has run for a deed: a thread that has been waited for may
// end a moment later, on a busy host.
inline constexpr std::chrono::milliseconds firing_patience{1000};

// Those that do not run. The cgroup2 root is that at which programs were attached; -1 if none was.
// An error where the kernel does not tell. Broker thread.
Result<std::vector<SilentProgram>> find_silent(const std::vector<AttachedProgram>& programs,
                                               int cgroup_root, Reach reach);

}  // namespace trivet::broker
