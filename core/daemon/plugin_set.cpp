// SPDX-License-Identifier: Apache-2.0
#include "daemon/plugin_set.h"

#include <utility>

#include "config/toml_file.h"

namespace trivet {

Result<std::vector<std::string>> RememberedFiles::expand(const std::string& path) {
  auto files = files_.expand(path);
  if (files) read_.folders[path] = *files;
  return files;
}

Result<TextFile> RememberedFiles::read(const std::string& path) {
  auto file = files_.read(path);
  if (file) read_.texts[path] = file->text;
  return file;
}

const char* to_string(PluginStatus status) {
  switch (status) {
    case PluginStatus::off:
      return "off";
    case PluginStatus::running:
      return "running";
    case PluginStatus::failed:
      return "failed";
    case PluginStatus::refused:
      return "refused";
  }
  return "unknown";
}

PluginSet::PluginSet(broker::Client& broker, const HostServices& services, Registry& registry,
                     Log& log)
    : registry_(registry), log_(log) {
  auto names = broker.plugin_names();
  if (!names) {
    log_.error("cannot list the plugins", {{"reason", names.error().to_string()}});
    return;
  }
  names_ = std::move(*names);
  for (const auto& name : names_) {
    states_[name].name = name;
    auto library = [&]() -> Result<plugins::Library> {
      auto file = broker.open_plugin(name);
      if (!file) return file.error();
      return plugins::Library::open(file->get(), name + ".so", name);
    }();
    if (!library) {
      log_.error("a plugin is refused",
                 {{"plugin", name}, {"reason", library.error().to_string()}});
      set_state(name, PluginStatus::refused, library.error().to_string());
      continue;
    }
    states_[name].version = library->manifest().version;
    states_[name].summary = library->manifest().summary;
    slots_.emplace(name,
                   Slot{std::move(*library), std::make_unique<PluginHost>(name, services), {}});
  }
}

PluginSet::~PluginSet() {
  stop_all();
}

std::vector<PluginHost*> PluginSet::hosts() const {
  std::vector<PluginHost*> hosts;
  for (const auto& [name, slot] : slots_) hosts.push_back(slot.host.get());
  return hosts;
}

Result<std::unique_ptr<Plugin>> PluginSet::create(const std::string& name) const {
  const auto slot = slots_.find(name);
  if (slot == slots_.end()) return Error{"there is no usable plugin " + name};
  return slot->second.library.create();
}

Result<std::vector<PluginSet::Prepared>> PluginSet::prepare(const Settings& settings,
                                                            RememberedFiles& files) {
  std::vector<Prepared> prepared;
  for (const auto& wanted : settings.plugins) {
    if (!slots_.contains(wanted.name)) continue;  // refused, and said so
    Prepared next{wanted.name, nullptr, {}, wanted.queue};
    if (wanted.enabled) {
      auto plugin = create(wanted.name);
      if (!plugin) return plugin.error();
      files.take();
      if (auto valid = (*plugin)->configure(*wanted.table); !valid) return valid.error();
      next.plugin = std::move(*plugin);
      next.configuration = {wanted.name, to_toml(*wanted.table), files.take()};
    }
    prepared.push_back(std::move(next));
  }
  return prepared;
}

void PluginSet::apply(std::vector<Prepared> prepared) {
  for (auto& next : prepared) {
    Slot& slot = slots_.at(next.name);
    const bool running = slot.host->running();
    slot.host->set_queue_policy(next.queue);
    if (!next.plugin) {
      if (running) {
        slot.host->stop();
        log_.info("a plugin has stopped", {{"plugin", next.name}});
      }
      set_state(next.name, PluginStatus::off);
      continue;
    }
    if (running && slot.configuration == next.configuration) continue;
    for (const auto& remark : next.plugin->remarks())
      log_.warning(remark.to_string(), {{"plugin", next.name}});
    {
      const std::lock_guard lock(mutex_);
      slot.configuration = std::move(next.configuration);
    }
    if (running && slot.host->adopt(*next.plugin)) {
      log_.info("a plugin has taken over its new configuration", {{"plugin", next.name}});
      continue;
    }
    if (running) slot.host->stop();
    if (auto started = slot.host->start(std::move(next.plugin), registry_.scope()); !started) {
      log_.error("a plugin did not start",
                 {{"plugin", next.name}, {"reason", started.error().to_string()}});
      set_state(next.name, PluginStatus::failed, started.error().to_string());
      continue;
    }
    log_.info(running ? "a plugin has started again" : "a plugin has started",
              {{"plugin", next.name}});
    set_state(next.name, PluginStatus::running);
  }
}

void PluginSet::stop_all() {
  for (auto& [name, slot] : slots_) {
    slot.host->stop();
    if (states_[name].status == PluginStatus::running) set_state(name, PluginStatus::off);
  }
}

void PluginSet::set_state(const std::string& name, PluginStatus status, std::string reason) {
  const std::lock_guard lock(mutex_);
  states_[name].status = status;
  states_[name].reason = std::move(reason);
}

std::vector<PluginConfiguration> PluginSet::configurations() const {
  const std::lock_guard lock(mutex_);
  std::vector<PluginConfiguration> list;
  for (const auto& [name, slot] : slots_)
    if (slot.host->running()) list.push_back(slot.configuration);
  return list;
}

std::vector<PluginState> PluginSet::states() const {
  const std::lock_guard lock(mutex_);
  std::vector<PluginState> list;
  for (const auto& [name, state] : states_) list.push_back(state);
  return list;
}

}  // namespace trivet
