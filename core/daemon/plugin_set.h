// SPDX-License-Identifier: Apache-2.0
// The plugins of this daemon: their libraries, their hosts, and which of them run. Reload is
// two-phase: prepare() validates everything and changes nothing, apply() starts, restarts and stops
// only what the new configuration changes. Main thread, but for what says otherwise.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "broker/client.h"
#include "config/file_source.h"
#include "config/plugin_configuration.h"
#include "config/settings.h"
#include "daemon/plugin_host.h"
#include "metrics/registry.h"
#include "plugins/library.h"
#include "trivet/plugin.h"

namespace trivet {

// Files through another source, remembering what was read: two configurations are the same if their
// tables and all that they read are.
class RememberedFiles final : public FileSource {
 public:
  explicit RememberedFiles(FileSource& files) : files_(files) {}
  Result<std::vector<std::string>> expand(const std::string& path) override;
  Result<TextFile> read(const std::string& path) override;
  // Everything read since the last call.
  ReadFiles take() { return std::exchange(read_, {}); }

 private:
  FileSource& files_;
  ReadFiles read_;
};

enum class PluginStatus { off, running, failed, refused };
const char* to_string(PluginStatus status);

struct PluginState {
  std::string name;
  std::string version;
  std::string summary;
  PluginStatus status = PluginStatus::off;
  std::string reason;  // of a failure or refusal
};

class PluginSet {
 public:
  // What a valid configuration asks of one plugin.
  struct Prepared {
    std::string name;
    std::unique_ptr<Plugin> plugin;  // configured, not started; null: off
    PluginConfiguration configuration;
    QueuePolicy queue;
  };

  // Everything passed outlives the set. Opens the libraries of the broker's plugin folder; one that
  // is refused is logged and stays out.
  PluginSet(broker::Client& broker, const HostServices& services, Registry& registry, Log& log);
  ~PluginSet();

  // The names of all plugin files, those refused included: each may have a table.
  const std::vector<std::string>& names() const { return names_; }
  // One for each usable plugin, in the order of their names; they live as long as the set.
  std::vector<PluginHost*> hosts() const;

  // `files` is the source that the settings were read through.
  Result<std::vector<Prepared>> prepare(const Settings& settings, RememberedFiles& files);
  // A plugin that fails to start leaves the others running; states() says why.
  void apply(std::vector<Prepared> prepared);
  void stop_all();

  // A new instance of a usable plugin, to ask about its objects.
  Result<std::unique_ptr<Plugin>> create(const std::string& name) const;

  // Any thread.
  std::vector<PluginState> states() const;
  // Of the plugins that run. Any thread.
  std::vector<PluginConfiguration> configurations() const;

 private:
  struct Slot {
    plugins::Library library;
    std::unique_ptr<PluginHost> host;
    PluginConfiguration configuration;  // changed with mutex_ held
  };

  void set_state(const std::string& name, PluginStatus status, std::string reason = {});

  Registry& registry_;
  Log& log_;
  std::vector<std::string> names_;
  std::map<std::string, Slot> slots_;
  mutable std::mutex mutex_;  // guards states_ and the slots' configurations
  std::map<std::string, PluginState> states_;
};

}  // namespace trivet
