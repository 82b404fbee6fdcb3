// SPDX-License-Identifier: Apache-2.0
#include "plugins/library.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <deque>
#include <exception>

namespace trivet::plugins {
namespace {

// Every library ever opened, never closed. Main thread only.
std::deque<boost::dll::shared_library>& opened_libraries() {
  static auto& libraries = *new std::deque<boost::dll::shared_library>();
  return libraries;
}

}  // namespace

Result<Library> Library::open(int fd, const std::string& path, const std::string& name) {
  auto manifest = read_manifest(fd, path, name);
  if (!manifest) return std::move(manifest).error();
  // Kept open for good: the loader knows libraries by path, and a number used again would give it
  // the library that had that number before.
  int kept = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (kept < 0) return system_error(errno, "cannot open " + path);
  try {
    // Through the descriptor: the file that was checked is the file that runs.
    auto& library = opened_libraries().emplace_back(
        "/proc/self/fd/" + std::to_string(kept),
        boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
    if (!library.has("trivet_plugin_create")) {
      return Error{path + " is not a trivet plugin: it lacks TRIVET_PLUGIN(...)"};
    }
    return Library(std::move(*manifest), &library.get<Factory>("trivet_plugin_create"));
  } catch (const std::exception& e) {
    ::close(kept);
    return Error{"cannot open " + path + ": " + e.what()};
  }
}

Result<std::unique_ptr<Plugin>> Library::create() const {
  try {
    return std::unique_ptr<Plugin>(factory_());
  } catch (const std::exception& e) {
    return Error{"plugin " + manifest_.name + " could not be made: " + e.what()};
  }
}

}  // namespace trivet::plugins
