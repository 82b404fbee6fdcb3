// SPDX-License-Identifier: Apache-2.0
// A known process or socket as the record that would have told it: HostFacts::apply_snapshot()
// makes the same of it again. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "trivet/facts.h"

namespace trivet {

// Header included, aligned to 8.
using FactRecord = std::vector<std::byte>;

// `coarse`: its start is known to the clock's tick only (proc_process.h).
FactRecord process_record(const Process& process, bool coarse);
FactRecord exit_record(const TaskKey& task, std::uint64_t exited_ns);
FactRecord socket_record(const Socket& socket);

}  // namespace trivet
