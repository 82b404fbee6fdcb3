// SPDX-License-Identifier: Apache-2.0
// `trivet rules`: asks the security plugin's code, in this process and without root, what rule
// files and its tables hold.
#include <algorithm>
#include <iostream>

#include "config/settings.h"
#include "control/json_text.h"
#include "daemon/commands.h"
#include "daemon/installation.h"
#include "daemon/launcher.h"
#include "daemon/offline_plugins.h"

namespace trivet {

namespace {

constexpr const char* kPlugin = "security";

Result<void> configure(Plugin& plugin, const RulesOptions& options, const OfflinePlugins& plugins) {
  PlainFiles files;
  if (!options.rules.empty()) {
    const auto table = table_of_files("rules_files", options.rules, files);
    if (!table) return table.error();
    return plugin.configure(**table);
  }
  const auto names = plugins.names();
  if (!names) return names.error();
  const auto settings = read_configuration(options.config, files, *names);
  if (!settings) return settings.error();
  const auto found = std::ranges::find(settings->plugins, kPlugin, &PluginSettings::name);
  if (found == settings->plugins.end() || !found->table)
    return Error{options.config + " has no table [security]: name rule files with --rules"};
  return plugin.configure(*found->table);
}

Result<std::string> ask(const RulesOptions& options) {
  const OfflinePlugins plugins(find_installation(options.plugins).plugin_directory);
  const auto plugin = plugins.create(kPlugin);
  if (!plugin) return plugin.error();
  const auto verbs = (*plugin)->offline_verbs();
  const auto verb = std::ranges::find(verbs, "rules " + options.verb, &OfflineVerb::name);
  if (verb == verbs.end())
    return Error{"there is no verb \"rules " + options.verb +
                 "\": write ls, show, fields or events"};
  if (verb->configured) {
    if (auto valid = configure(**plugin, options, plugins); !valid) return valid.error();
  }
  return verb->answer(options.arguments);
}

}  // namespace

int rules(const RulesOptions& options) {
  const auto answer = ask(options);
  if (!answer) {
    std::cerr << "trivet: " << answer.error().to_string() << '\n';
    return kExitFailure;
  }
  std::cout << (options.json ? json_indented(*answer) + '\n' : json_to_text(*answer));
  return kExitSuccess;
}

}  // namespace trivet
