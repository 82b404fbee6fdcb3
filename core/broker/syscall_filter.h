// SPDX-License-Identifier: Apache-2.0
// Which system calls the two processes may still make once they are set up (seccomp(2)).
#pragma once

#include "trivet/result.h"

namespace trivet::broker {

// For good, for this process and whatever it starts. Calling thread, before there are others and
// after no_new_privs is set. Calls that neither process needs do not exist any more (ENOSYS, which
// C libraries take for an older kernel); those of a foreign architecture end the process.
//
// Main reads and writes maps that it was lent, and makes no other use of bpf(2); it starts no
// program and no process, sees into no other process, signals none, makes no namespace, cannot
// outlive the broker, and maps no memory that is both writable and executable.
Result<void> filter_main();

// The broker may use all of bpf(2) and perf events, and signal; it starts no program either.
Result<void> filter_broker();

}  // namespace trivet::broker
