// SPDX-License-Identifier: Apache-2.0
#include "broker/listener.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "broker/privileges.h"

namespace trivet::broker {
namespace {

// How long the kernel may take to remove what a killed trivet had in it.
constexpr std::chrono::seconds removal_patience{5};
// More waiting clients than anybody starts at once.
constexpr int backlog = 16;

// The folder has been judged: nobody but trusted owners can change what the path leads to.
sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

UniqueFd stream_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

std::string lock_name(const std::string& name) {
  return "." + name + ".lock";
}

Result<gid_t> group_id(const char* setting, const std::string& name) {
  const ::group* entry = ::getgrnam(name.c_str());
  if (entry) return entry->gr_gid;
  return Error{"there is no group \"" + name + "\" for " + setting + ": groupadd --system " + name,
               ENOENT};
}

}  // namespace

Listener::Listener(const std::string& name, std::string path)
    : setting_(name + ".socket"), what_(name + " socket"), path_(std::move(path)) {
  std::filesystem::path split(path_);
  folder_path_ = split.parent_path().string();
  name_ = split.filename().string();
}

Error Listener::in_use() const {
  return {
      what_ + " " + path_ + " is in use: another trivet runs; stop it or set another " + setting_,
      EADDRINUSE};
}

Result<void> Listener::open_folder(TrustedFiles& folders) {
  auto folder = folders.open_folder(folder_path_);
  if (!folder && folder.error().code == ENOENT) {
    std::filesystem::path split(folder_path_);
    auto parent = folders.open_folder(split.parent_path().string());
    if (!parent) return std::move(parent).error().within("folder of " + setting_);
    made_folder_ = ::mkdirat(parent->get(), split.filename().c_str(), 0755) == 0;
    if (!made_folder_ && errno != EEXIST) {
      return system_error(errno, "cannot make the " + what_ + "'s folder " + folder_path_);
    }
    folder = folders.open_folder(folder_path_);
  }
  if (!folder) return std::move(folder).error().within("folder of " + setting_);
  folder_ = std::move(*folder);
  return {};
}

// Else errno says why not.
bool Listener::is_served() const {
  const UniqueFd probe = stream_socket();
  const sockaddr_un address = address_of(path_);
  // EAGAIN: it listens, but its queue is full.
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
             0 ||
         errno == EAGAIN;
}

// A file of its own, which nobody else can open: whoever can read a folder could lock that.
Result<void> Listener::lock() {
  std::string name = lock_name(name_);
  const auto end = std::chrono::steady_clock::now() + removal_patience;
  for (;;) {
    UniqueFd file(::openat(folder_.get(), name.c_str(),
                           O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600));
    if (!file) return system_error(errno, "cannot lock " + what_ + " " + path_);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return system_error(errno, "cannot lock " + what_ + " " + path_);
      if (is_served() || std::chrono::steady_clock::now() >= end) return in_use();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    struct stat locked {};
    struct stat there {};
    if (::fstat(file.get(), &locked) != 0) {
      return system_error(errno, "cannot lock " + what_ + " " + path_);
    }
    // Its last holder removed it before it let go: then another file counts.
    if (::fstatat(folder_.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 ||
        there.st_dev != locked.st_dev || there.st_ino != locked.st_ino) {
      continue;
    }
    lock_ = std::move(file);
    return {};
  }
}

Result<void> Listener::remove_stale() {
  struct stat status {};
  if (::fstatat(folder_.get(), name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return system_error(errno, "cannot use " + what_ + " " + path_);
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error{"cannot make " + what_ + " " + path_ +
                     ": something else is there; remove it or set another " + setting_,
                 EEXIST};
  }
  if (is_served()) return in_use();
  if (errno != ECONNREFUSED) return system_error(errno, "cannot use " + what_ + " " + path_);
  if (::unlinkat(folder_.get(), name_.c_str(), 0) != 0 && errno != ENOENT) {
    return system_error(errno, "cannot replace " + what_ + " " + path_);
  }
  return {};
}

Result<void> Listener::bind(gid_t group, bool anybody) {
  UniqueFd socket = closed_first(stream_socket());
  if (!socket) return system_error(errno, "cannot make a socket");
  sockaddr_un address = address_of(path_);
  // Nobody may connect before owner and group are right: it does not listen before.
  mode_t before = ::umask(anybody ? 0111 : 0117);
  int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  int bind_errno = errno;
  ::umask(before);
  if (bound != 0) return system_error(bind_errno, "cannot make " + what_ + " " + path_);
  fd_ = std::move(socket);
  if (::fchownat(folder_.get(), name_.c_str(), 0, group, AT_SYMLINK_NOFOLLOW) != 0 ||
      ::listen(fd_.get(), backlog) != 0) {
    return system_error(errno, "cannot open " + what_ + " " + path_);
  }
  return {};
}

Result<Listener> Listener::open(const std::string& name, const std::string& path,
                                const Groups& groups, TrustedFiles& folders) {
  if (path.empty() || path.front() != '/' || path.back() == '/' ||
      path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Error{name + ".socket \"" + path + "\" must be an absolute path of at most 107 bytes",
                 EINVAL};
  }
  auto read = group_id("control.read_group", groups.read);
  if (!read) return std::move(read).error();
  auto write = group_id("control.write_group", groups.write);
  if (!write) return std::move(write).error();
  Listener listener(name, path);
  if (auto opened = listener.open_folder(folders); !opened) return std::move(opened).error();
  if (auto locked = listener.lock(); !locked) return std::move(locked).error();
  if (auto removed = listener.remove_stale(); !removed) return std::move(removed).error();
  if (auto bound = listener.bind(*write, *read != *write); !bound) return std::move(bound).error();
  return listener;
}

Listener::~Listener() {
  // Without the lock, what is there is another's.
  if (lock_) {
    if (fd_) ::unlinkat(folder_.get(), name_.c_str(), 0);
    ::unlinkat(folder_.get(), lock_name(name_).c_str(), 0);
  }
  // Fails, as it should, where something else has come to be in it.
  if (folder_ && made_folder_) ::rmdir(folder_path_.c_str());
}

}  // namespace trivet::broker
