// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <iostream>

#include "daemon/commands.h"
#include "daemon/daemon.h"
#include "daemon/installation.h"
#include "daemon/launcher.h"

namespace trivet {

namespace {

SocketGroups socket_groups(const Settings& settings) {
  const auto group = [](const std::string& name) {
    return SocketGroups::Group{name, find_group(name)};
  };
  return {group(settings.control_read_group), group(settings.control_write_group)};
}

}  // namespace

int run(const RunOptions& options) {
  const auto status =
      launch({.config = options.config, .plugins = options.plugins}, [&](const Launched& launched) {
        Daemon daemon(launched.broker,
                      {.config_path = launched.config_path,
                       .groups = socket_groups(launched.settings),
                       .print_records = !options.quiet && isatty(STDOUT_FILENO) == 1});
        return daemon.run();
      });
  if (status) return *status;
  std::cerr << "error: " << status.error().to_string() << '\n';
  return kExitFailure;
}

}  // namespace trivet
