// SPDX-License-Identifier: Apache-2.0
// From a configuration file to two processes: reads it as root, works out what the broker may
// serve, and starts the broker with a main process.
#pragma once

#include <functional>
#include <string>

#include "broker/broker.h"
#include "broker/client.h"
#include "config/file_source.h"
#include "config/settings.h"
#include "trivet/result.h"

namespace trivet {

struct LaunchOptions {
  std::string config;   // as on the command line
  std::string plugins;  // folder of the libraries; empty: beside the program
  bool control = true;  // whether to listen on the control socket
};

// What main gets beside the broker.
struct Launched {
  broker::Client& broker;
  std::string config_path;  // absolute
  Settings settings;  // as the launcher read them; its plugins' files only the broker can open
};

// The settings in a configuration file that is reached through `files`, which must outlive them.
// `plugins` are the names of the plugins installed.
Result<Settings> read_configuration(const std::string& path, FileSource& files,
                                    const std::vector<std::string>& plugins);

// Runs `main` unprivileged and serves it until it ends; its exit status. An error says why nothing
// was started. Call with no other thread running.
Result<int> launch(const LaunchOptions& options, const std::function<int(const Launched&)>& main);

}  // namespace trivet
