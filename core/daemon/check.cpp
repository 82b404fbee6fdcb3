// SPDX-License-Identifier: Apache-2.0
// `trivet check`: everything that start-up would validate, without root and without starting
// anything.
#include <iostream>

#include "config/settings.h"
#include "daemon/commands.h"
#include "daemon/installation.h"
#include "daemon/launcher.h"
#include "daemon/offline_plugins.h"
#include "outputs/outputs.h"

namespace trivet {

namespace {

// Validates a table as that plugin would, and prints its remarks.
Result<void> configure(const std::string& name, const Config& table,
                       const OfflinePlugins& plugins) {
  const auto plugin = plugins.create(name);
  if (!plugin) return plugin.error();
  if (auto valid = (*plugin)->configure(table); !valid) return valid;
  print_remarks(**plugin);
  return {};
}

Result<void> check_config(const std::string& path, const OfflinePlugins& plugins) {
  const auto names = plugins.names();
  if (!names) return names.error();
  PlainFiles files;
  const auto settings = read_configuration(path, files, *names);
  if (!settings) return settings.error();
  if (auto valid = check_outputs(settings->outputs); !valid) return valid;
  for (const auto& plugin : settings->plugins)
    if (plugin.enabled)
      if (auto valid = configure(plugin.name, *plugin.table, plugins); !valid) return valid;
  return {};
}

// The files given on the command line, as the plugin's table would name them.
Result<void> check_files(const std::string& plugin, const std::string& key,
                         const std::vector<std::string>& paths, const OfflinePlugins& plugins) {
  PlainFiles files;
  const auto table = table_of_files(key, paths, files);
  if (!table) return table.error();
  return configure(plugin, **table, plugins);
}

}  // namespace

int check(const CheckOptions& options) {
  const OfflinePlugins plugins(find_installation(options.plugins).plugin_directory);
  bool valid = true;
  const auto judge = [&](const Result<void>& result) {
    if (result) return;
    valid = false;
    std::cerr << "error: " << result.error().to_string() << '\n';
  };
  if (options.config) judge(check_config(*options.config, plugins));
  if (!options.rules.empty()) judge(check_files("security", "rules_files", options.rules, plugins));
  if (!options.policies.empty())
    judge(check_files("network", "policy_file", options.policies, plugins));
  if (valid) std::cout << "valid\n";
  return valid ? kExitSuccess : kExitFailure;
}

}  // namespace trivet
