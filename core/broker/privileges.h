// SPDX-License-Identifier: Apache-2.0
// What makes the main process an ordinary one, and the broker's corner of the file system.
#pragma once

#include <sys/types.h>

#include <span>

#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::broker {

struct BrokerCapability {
  int number;
  const char* name;
  bool required;        // else trivet runs without what it is for
  const char* purpose;  // in words
};

// Those of root's capabilities that the broker keeps. Static.
std::span<const BrokerCapability> broker_capabilities();

// Opens /dev/null for each of standard input, output and error that is closed, so that no other
// file gets its number.
Result<void> fill_standard_descriptors();

// The same under a high number. The kernel closes what a killed process had open from the highest
// number down, and takes seconds for kernel programs: what others wait for must go before those.
UniqueFd closed_first(UniqueFd fd);

// Becomes uid and gid for good: no group, no capability in any set, none to gain by exec, a session
// without terminal, and it dies with its parent. Standard input becomes /dev/null; a terminal stays
// standard output or error, for writing only. Descriptors from 3 up are closed but `keep`, which
// becomes 3. Calling thread, before there are others.
Result<void> drop_privileges(uid_t uid, gid_t gid, pid_t parent, int keep);

// Keeps of root's capabilities those that the broker's requests need, for good, and takes no new
// privileges. Calling thread, before there are others.
Result<void> keep_broker_capabilities();

// Where tracefs is not mounted: a mount namespace of this process's own with tracefs in it, so that
// the host's mounts stay as they are.
Result<void> reach_tracefs();

}  // namespace trivet::broker
