// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <iostream>

#include "daemon/commands.h"
#include "daemon/daemon.h"
#include "daemon/installation.h"
#include "daemon/launcher.h"

namespace trivet {

int run(const RunOptions& options) {
  const auto status =
      launch({.config = options.config, .plugins = options.plugins}, [&](const Launched& launched) {
        Daemon daemon(launched.broker,
                      {.config_path = launched.config_path,
                       .control_group = find_group(launched.settings.control_group),
                       .print_records = !options.quiet && isatty(STDOUT_FILENO) == 1});
        return daemon.run();
      });
  if (status) return *status;
  std::cerr << "error: " << status.error().to_string() << '\n';
  return kExitFailure;
}

}  // namespace trivet
