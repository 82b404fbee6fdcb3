// SPDX-License-Identifier: Apache-2.0
// Files of root's that say what the processes and containers of this host are, opened for main by
// their identity, never by a path that main could choose. Broker thread only.
#pragma once

#include <cstdint>
#include <string>

#include "broker/files.h"
#include "broker/protocol.h"
#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::broker {

// What container runtimes keep about the container of that id: names[i] says what fds[i] is, as
// facts/container_state.h has them. EINVAL as the error's code where `id` is not 64 hex digits,
// ENOENT where no runtime knows it.
Result<Answer> open_container_state(TrustedFiles& files, const std::string& id);

// A file in /proc of the living process of that pid and start (CLOCK_BOOTTIME, compared as coarsely
// as /proc shows it). ESRCH as the error's code where there is none.
enum class ProcessFile { environment, executable };
Result<UniqueFd> open_process_file(std::uint32_t pid, std::uint64_t start_ns, ProcessFile which);

// The file whose code that process runs at that address. ENOENT as the error's code where there is
// none.
Result<UniqueFd> open_code_file(std::uint32_t pid, std::uint64_t start_ns, std::uint64_t address);

}  // namespace trivet::broker
