// SPDX-License-Identifier: Apache-2.0
#include "control/peer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace trivet {
namespace {

// Who connected, as the kernel says.
struct Peer {
  uid_t user;
  std::vector<gid_t> groups;
};

Result<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return system_error(errno, "cannot tell who connected");
  }
  Peer peer{credentials.uid, {credentials.gid}};
  std::vector<gid_t> more(64);
  for (int attempt = 0; attempt < 2; ++attempt) {
    size = static_cast<socklen_t>(more.size() * sizeof(gid_t));
    int failed = getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, more.data(), &size);
    std::size_t count = size / sizeof(gid_t);
    if (failed != 0 && errno != ERANGE) break;
    more.resize(count);
    if (failed == 0) {
      peer.groups.insert(peer.groups.end(), more.begin(), more.end());
      break;
    }
  }
  return peer;
}

// Where the daemon has no user of its own it runs as the one that many services share.
constexpr uid_t kNobody = 65534;

bool is_member(const Peer& peer, const SocketGroups::Group& group) {
  return group.id && std::ranges::find(peer.groups, *group.id) != peer.groups.end();
}

}  // namespace

Result<Access> peer_access(int socket, const std::string& what, const SocketGroups& groups) {
  const auto peer = peer_of(socket);
  if (!peer) return peer.error();
  const bool own = peer->user == geteuid() && peer->user != kNobody;
  if (peer->user == 0 || own || is_member(*peer, groups.write)) return Access::write;
  if (is_member(*peer, groups.read)) return Access::read;
  return Error{"user " + std::to_string(peer->user) + " may not use " + what +
                   ": be root or a member of group \"" + groups.read.name +
                   "\" (control.read_group) or \"" + groups.write.name + "\" (control.write_group)",
               EACCES,
               {}};
}

Error needs_write(const std::string& verb, const SocketGroups& groups) {
  return Error{verb + " is for those who may write: be root or a member of group \"" +
                   groups.write.name + "\" (control.write_group)",
               EACCES,
               {}};
}

}  // namespace trivet
