// SPDX-License-Identifier: Apache-2.0
// Where this program and what belongs to it are on disk.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "trivet/result.h"

namespace trivet {

struct Installation {
  // Folder of the plugin libraries, beside the program's own bin: lib/trivet/plugins where CMake
  // built it, the distribution's folder for libraries where it is installed.
  std::string plugin_directory;
  // The program runs from where CMake built it: files may belong to the user who called sudo.
  bool build_tree = false;
};

// Of the running program, from /proc/self/exe. `plugin_directory` replaces the usual one if not
// empty.
Installation find_installation(const std::string& plugin_directory);

// `path` from the working directory, without links resolved.
std::string absolute_path(const std::string& path);

struct User {
  uid_t uid;
  gid_t gid;
};
// The account that main runs as, `name`. An error where there is none of that name, with ENOENT as
// its code, or where it has root's user or group.
Result<User> find_user(const std::string& name);
// nobody, which is on every machine.
User nobody();
// The group of that name.
std::optional<gid_t> find_group(const std::string& name);

}  // namespace trivet
