// SPDX-License-Identifier: Apache-2.0
#include "daemon/installation.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace trivet {

Installation find_installation(const std::string& plugin_directory) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto prefix = program.parent_path().parent_path();
  Installation found;
  // CMake leaves this in the folder that it builds in, and installs it nowhere.
  found.build_tree = std::filesystem::is_regular_file(prefix / "CMakeCache.txt", error);
  const char* folder = found.build_tree ? "lib/trivet/plugins" : TRIVET_PLUGIN_FOLDER;
  found.plugin_directory =
      plugin_directory.empty() ? (prefix / folder).string() : absolute_path(plugin_directory);
  return found;
}

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

Result<User> find_user(const std::string& name) {
  const passwd* entry = getpwnam(name.c_str());
  if (!entry) {
    return Error{"there is no user \"" + name +
                     "\": useradd --system --no-create-home --shell /usr/sbin/nologin " + name,
                 ENOENT};
  }
  if (entry->pw_uid == 0 || entry->pw_gid == 0) {
    return Error{"user \"" + name +
                     "\" has root's rights, which the main process must not have: "
                     "name another",
                 EINVAL};
  }
  return User{entry->pw_uid, entry->pw_gid};
}

User nobody() {
  return {65534, 65534};
}

std::optional<gid_t> find_group(const std::string& name) {
  const group* entry = getgrnam(name.c_str());
  if (!entry) return std::nullopt;
  return entry->gr_gid;
}

}  // namespace trivet
