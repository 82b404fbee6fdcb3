// SPDX-License-Identifier: Apache-2.0
// Who may use a Unix socket of the daemon's, and for what. Stateless; any thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "trivet/host.h"
#include "trivet/result.h"

namespace trivet {

// The groups that control.read_group and control.write_group name. Root may do everything, and so
// may the daemon's own user.
struct SocketGroups {
  struct Group {
    std::string name;
    std::optional<gid_t> id;  // none where there is no such group
  };
  Group read;
  Group write;  // may do whatever `read` may
};

// What the other end of `socket` may do, as the kernel knows it from when it connected: everything
// for root and for this process's own user unless that is nobody, which many services share. An
// error for whoever may do nothing. `what` is the socket's name in it.
Result<Access> peer_access(int socket, const std::string& what, const SocketGroups& groups);

// Why somebody who may only read may not have `verb`.
Error needs_write(const std::string& verb, const SocketGroups& groups);

}  // namespace trivet
