// SPDX-License-Identifier: Apache-2.0
#include "daemon/installation.h"

#include <grp.h>
#include <pwd.h>

#include <filesystem>
#include <system_error>

namespace trivet {

namespace {

constexpr User kNobody{65534, 65534};

}  // namespace

Installation find_installation(const std::string& plugin_directory) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto prefix = program.parent_path().parent_path();
  Installation found;
  found.plugin_directory = plugin_directory.empty()
                               ? (prefix / "lib" / "trivet" / "plugins").string()
                               : absolute_path(plugin_directory);
  found.build_tree = prefix != TRIVET_INSTALL_PREFIX;
  return found;
}

std::string absolute_path(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

User find_user(const std::string& name) {
  const passwd* entry = getpwnam(name.c_str());
  if (!entry || entry->pw_uid == 0) return kNobody;
  return {entry->pw_uid, entry->pw_gid};
}

std::optional<gid_t> find_group(const std::string& name) {
  const group* entry = getgrnam(name.c_str());
  if (!entry) return std::nullopt;
  return entry->gr_gid;
}

}  // namespace trivet
