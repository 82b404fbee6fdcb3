// SPDX-License-Identifier: Apache-2.0
#include "broker/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace trivet::broker {
namespace {

// More waiting clients than anybody starts at once.
constexpr int backlog = 16;

Result<void> make_room(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return system_error(errno, "cannot use control socket " + path);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error{"cannot make control socket " + path +
                     ": something else is there; remove it or set another control.socket",
                 EEXIST};
  }
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return system_error(errno, "cannot make a socket");
  int connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  // EAGAIN: it listens, but its queue is full.
  if (connected == 0 || errno == EAGAIN) {
    return Error{"control socket " + path +
                     " is in use: another trivet runs; stop it or set another control.socket",
                 EADDRINUSE};
  }
  if (errno != ECONNREFUSED) return system_error(errno, "cannot use control socket " + path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return system_error(errno, "cannot replace control socket " + path);
  }
  return {};
}

}  // namespace

Result<Listener> Listener::open(const std::string& path, const std::string& group) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.size() >= sizeof(address.sun_path)) {
    return Error{"control.socket \"" + path + "\" must be an absolute path of at most 107 bytes",
                 EINVAL};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const ::group* entry = ::getgrnam(group.c_str());
  if (!entry) {
    return Error{
        "there is no group \"" + group + "\" for control.group: groupadd --system " + group,
        ENOENT};
  }
  gid_t gid = entry->gr_gid;
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
    return system_error(errno, "cannot make the control socket's folder " + folder);
  }
  if (auto room = make_room(path, address); !room) return std::move(room).error();

  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error(errno, "cannot make a socket");
  // Nobody may connect before owner and group are right.
  mode_t before = ::umask(0177);
  int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  int bind_errno = errno;
  ::umask(before);
  if (bound != 0) return system_error(bind_errno, "cannot make control socket " + path);
  Listener listener(std::move(fd), path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    listener.device_ = status.st_dev;
    listener.inode_ = status.st_ino;
  }
  if (::lchown(path.c_str(), 0, gid) != 0 || ::chmod(path.c_str(), 0660) != 0 ||
      ::listen(listener.fd(), backlog) != 0) {
    return system_error(errno, "cannot open control socket " + path);
  }
  return listener;
}

Listener::~Listener() {
  struct stat status {};
  if (!fd_ || ::lstat(path_.c_str(), &status) != 0) return;
  // Only what this one made: by now another may have taken the path.
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlink(path_.c_str());
}

}  // namespace trivet::broker
