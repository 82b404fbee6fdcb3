// SPDX-License-Identifier: Apache-2.0
// `trivet doctor`: what this host lacks, if anything; then every tier of every hook, loaded,
// attached and made to fire, with the one that would be used and why not a better one. Works while
// a daemon runs; leaves nothing behind.
#include <unistd.h>

#include <iostream>

#include "broker/host_check.h"
#include "daemon/broker_files.h"
#include "daemon/commands.h"
#include "daemon/core_objects.h"
#include "daemon/launcher.h"
#include "daemon/plugin_set.h"
#include "daemon/status.h"
#include "facts/host_facts.h"
#include "log/stream_log.h"

namespace trivet {

namespace {

void print(const std::vector<broker::HostCondition>& host) {
  std::cout << "host\n";
  for (const auto& condition : host) {
    std::cout << "  " << condition.name << ": ";
    if (condition.fitness != broker::Fitness::good)
      std::cout << broker::to_string(condition.fitness) << ": ";
    std::cout << condition.sentence << '\n';
  }
}

void print(const OwnedHooks& owned) {
  std::cout << owned.owner << '\n';
  for (const auto& hook : owned.hooks) {
    std::cout << "  " << hook.hook << ": " << (hook.tier.empty() ? "none" : hook.tier) << '\n';
    for (const auto& tried : hook.tried)
      if (!tried.refusal.empty())
        std::cout << "    " << tried.tier << " refused: " << tried.refusal << '\n';
      else
        std::cout << "    " << tried.tier << " works" << (tried.tier == hook.tier ? ", in use" : "")
                  << '\n';
  }
}

void show(const std::vector<broker::HostCondition>& host, const std::vector<OwnedHooks>& hooks,
          bool json) {
  if (json) {
    std::cout << to_json(host, hooks) << '\n';
    return;
  }
  print(host);
  for (const auto& owned : hooks) print(owned);
}

// Runs unprivileged: all that it learns comes through the broker.
int examine(const Launched& launched, const std::vector<broker::HostCondition>& host, bool json) {
  StreamLog log(STDERR_FILENO, LogLevel::warning, false);
  HostFacts facts("");
  Registry registry(0);
  const HostServices services{launched.broker, facts, log,
                              [](const RecordSchema&, std::shared_ptr<const void>) {}};
  PluginSet plugins(launched.broker, services, registry, log);

  BrokerFiles files(launched.broker);
  const auto configuration = read_configuration(launched.config_path, files, plugins.names());
  if (!configuration) {
    std::cerr << "error: " << configuration.error().to_string() << '\n';
    return kExitFailure;
  }

  std::vector<OwnedHooks> found;
  bool sound = true;
  const auto probe = [&](const std::string& owner, const ObjectSpec& object) {
    auto hooks = launched.broker.probe(owner, object);
    if (!hooks) {
      std::cerr << "error: " << owner << '/' << object.name << ": " << hooks.error().to_string()
                << '\n';
      sound = false;
      return;
    }
    for (std::size_t i = 0; i < hooks->size(); ++i)
      if ((*hooks)[i].tier.empty() && object.hooks[i].required) sound = false;
    if (found.empty() || found.back().owner != owner) found.push_back({owner, {}});
    auto& list = found.back().hooks;
    list.insert(list.end(), hooks->begin(), hooks->end());
  };

  probe(kCorePlugin, lifecycle_object());
  probe(kCorePlugin, sockets_object());
  for (const auto& settings : configuration->plugins) {
    if (!settings.enabled) continue;
    const auto plugin = plugins.create(settings.name);
    if (!plugin) {
      sound = false;
      continue;
    }
    if (auto valid = (*plugin)->configure(*settings.table); !valid) {
      std::cerr << "error: " << valid.error().to_string() << '\n';
      sound = false;
      continue;
    }
    for (const auto& object : (*plugin)->objects()) probe(settings.name, object);
  }
  show(host, found, json);
  return sound ? kExitSuccess : kExitFailure;
}

}  // namespace

int doctor(const DoctorOptions& options) {
  const auto host = broker::host_conditions();
  if (host.back().fitness == broker::Fitness::unfit) {
    show(host, {}, options.json);
    std::cerr << "error: " << host.back().sentence << '\n';
    return kExitFailure;
  }
  const auto status =
      launch({.config = options.config, .plugins = options.plugins, .control = false},
             [&](const Launched& launched) { return examine(launched, host, options.json); });
  if (status) return *status;
  std::cerr << "error: " << status.error().to_string() << '\n';
  return kExitFailure;
}

}  // namespace trivet
