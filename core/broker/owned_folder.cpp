// SPDX-License-Identifier: Apache-2.0
#include "broker/owned_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

namespace trivet::broker {
namespace {

// A folder of root's, made if it is missing.
Result<UniqueFd> open_or_make(const std::filesystem::path& path, TrustedFiles& folders) {
  auto folder = folders.open_folder(path.string());
  if (folder || folder.error().code != ENOENT || path == path.root_path()) return folder;
  auto parent = open_or_make(path.parent_path(), folders);
  if (!parent) return parent;
  if (::mkdirat(parent->get(), path.filename().c_str(), 0755) != 0 && errno != EEXIST)
    return system_error(errno, "cannot make the folder " + path.string());
  return folders.open_folder(path.string());
}

}  // namespace

Result<UniqueFd> open_owned_folder(const std::string& path, uid_t uid, gid_t gid,
                                   TrustedFiles& folders, const std::string& setting) {
  auto place = std::filesystem::path(path).lexically_normal();
  if (!place.has_filename()) place = place.parent_path();
  if (!place.is_absolute() || !place.has_filename())
    return Error{setting + " \"" + path + "\" must be the absolute path of a folder", EINVAL};
  auto parent = open_or_make(place.parent_path(), folders);
  if (!parent) return std::move(parent).error().within(setting);

  // Made by root in a folder that only root can change: nothing else can come to be there
  // meanwhile.
  const std::string name = place.filename().string();
  const bool made = ::mkdirat(parent->get(), name.c_str(), 0700) == 0;
  if (!made && errno != EEXIST)
    return system_error(errno, setting + ": cannot make the folder " + path);
  UniqueFd folder(
      ::openat(parent->get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) {
    if (errno == ENOTDIR || errno == ELOOP)
      return Error{setting + ": " + path + " is no folder, or a link to one", ENOTDIR};
    return system_error(errno, setting + ": cannot open " + path);
  }
  if (made && ::fchown(folder.get(), uid, gid) != 0) {
    const int error = errno;
    // Else the next start would find a folder of the wrong user.
    (void)::unlinkat(parent->get(), name.c_str(), AT_REMOVEDIR);
    return Error{setting + ": " + path + " is missing, and only a start can make it: restart " +
                     "trivet, or install -d -m 700 -o " + std::to_string(uid) + " " + path,
                 error};
  }
  struct stat status {};
  if (::fstat(folder.get(), &status) != 0)
    return system_error(errno, setting + ": cannot examine " + path);
  if (status.st_uid != uid) {
    return Error{setting + ": " + path + " belongs to user " + std::to_string(status.st_uid) +
                     ", not to the main process: chown -R " + std::to_string(uid) + " " + path,
                 EPERM};
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{
        setting + ": " + path + " can be written by its group or by others: chmod go-w " + path,
        EPERM};
  }
  return folder;
}

}  // namespace trivet::broker
