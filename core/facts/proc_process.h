// SPDX-License-Identifier: Apache-2.0
// Processes as /proc tells them (proc(5)), for those that the kernel's iterator does not show: some
// kernels leave out the first process, some sandboxes refuse iterators.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "broker/unique_fd.h"
#include "trivet/facts.h"
#include "trivet/result.h"

namespace trivet {

// How exactly /proc knows when a process started: its start_ns may be up to this much too small.
std::uint64_t proc_start_precision_ns();

// The numbers of all processes there are, in no order; empty where /proc cannot be read.
std::vector<std::uint32_t> proc_processes();

// What anybody may read of a living process, and the executable that `executable` opens, which may
// need more rights. exec_count is 0; working directory and namespaces stay unknown. nullopt for a
// process that has ended, or that no file tells of.
std::optional<Process> proc_process(
    std::uint32_t pid, const std::function<Result<UniqueFd>(const TaskKey&)>& executable);

}  // namespace trivet
