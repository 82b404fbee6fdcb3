// SPDX-License-Identifier: Apache-2.0
// Who may use a Unix socket of the daemon's. Stateless; any thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "trivet/result.h"

namespace trivet {

// Whether the other end of `socket`, as the kernel knows it from when it connected, is root, a
// member of `group`, or this process's own user unless that is nobody, which many services share.
// `what` is the socket's name in the error.
Result<void> check_peer(int socket, const std::string& what, std::optional<gid_t> group);

}  // namespace trivet
