// SPDX-License-Identifier: Apache-2.0
#include "daemon/launcher.h"

#include <unistd.h>

#include <cerrno>
#include <memory>

#include "broker/files.h"
#include "broker/host_check.h"
#include "config/toml_file.h"
#include "daemon/installation.h"
#include "log/stream_log.h"

namespace trivet {

namespace {

// The configuration's files, opened here and now under the broker's rules.
class CheckedFiles final : public FileSource {
 public:
  explicit CheckedFiles(broker::TrustedFiles& files) : files_(files) {}
  Result<std::vector<std::string>> expand(const std::string& path) override {
    auto names = files_.list_folder(path);
    if (!names) {
      if (names.error().code == ENOTDIR) return std::vector{path};
      return names.error();
    }
    for (auto& name : *names) name = path + "/" + name;
    return names;
  }
  Result<TextFile> read(const std::string& path) override {
    const auto file = files_.open_file(path);
    if (!file) return file.error();
    return read_text(file->get(), path);
  }

 private:
  broker::TrustedFiles& files_;
};

Result<std::unique_ptr<Config>> read_config(const std::string& path, FileSource& files) {
  const auto file = files.read(path);
  if (!file) return file.error();
  return parse_toml(path, file->text, files);
}

// The configuration and all that it names: what main may have opened.
Result<std::vector<std::string>> allowed_files(const std::string& path, const Config& config) {
  auto named = named_files(config);
  if (!named) return named.error();
  std::vector<std::string> files{path};
  for (auto& file : *named) files.push_back(absolute_path(file.path));
  return files;
}

Result<std::vector<std::string>> plugin_names(const std::string& folder,
                                              broker::TrustedFiles& files) {
  auto names = files.list_folder(folder);
  if (!names) return std::move(names).error().within("plugin folder " + folder);
  std::vector<std::string> plugins;
  for (const auto& name : *names)
    if (name.ends_with(".so")) plugins.push_back(name.substr(0, name.size() - 3));
  return plugins;
}

// What main may have of the broker. `serving`: main is a daemon, which keeps records.
Result<broker::Offer> offer_of(const std::string& path, const Config& config,
                               const Settings& settings, bool serving) {
  broker::Offer offer;
  auto allowed = allowed_files(path, config);
  if (!allowed) return allowed.error();
  offer.files = std::move(*allowed);
  for (const auto& plugin : settings.plugins)
    if (plugin.enabled) offer.plugins.push_back(plugin.name);
  if (!serving) return offer;
  if (!settings.records_spill.empty())
    offer.folders.push_back({settings.records_spill, "records.spill"});
  for (const auto& output : settings.outputs) {
    if (auto folder = output_folder(output); !folder.path.empty())
      offer.folders.push_back({std::move(folder.path), std::move(folder.setting)});
    if (auto program = std::get_if<ProgramTarget>(&output.target))
      offer.programs.push_back({output.name, program->command});
  }
  return offer;
}

// The account that a setting of the daemon names.
Result<User> named_user(const std::string& setting, const std::string& name, const Config& config) {
  auto user = find_user(name);
  if (user) return user;
  Error error = std::move(user).error().within("daemon." + setting);
  if (const auto table = config.table("daemon"); table && *table)
    error.place = (*table)->place(setting);
  return error;
}

// Who main is to be. An installation need not have made the user that the configuration comes with.
Result<User> main_user(const Settings& settings, const Config& config, Log& log) {
  const auto user = find_user(settings.user);
  if (!user && user.error().code == ENOENT && settings.user == Settings().user) {
    log.warning(user.error().message + "; the main process runs as nobody");
    return nobody();
  }
  return named_user("user", settings.user, config);
}

}  // namespace

Result<Settings> read_configuration(const std::string& path, FileSource& files,
                                    const std::vector<std::string>& plugins) {
  const auto config = read_config(path, files);
  if (!config) return config.error();
  return read_settings(**config, plugins);
}

Result<int> launch(const LaunchOptions& options, const std::function<int(const Launched&)>& main) {
  StreamLog log(STDERR_FILENO, LogLevel::info, false);
  const auto warn = [&log](std::string_view sentence) { log.warning(sentence); };
  if (auto fit = broker::check_host(warn); !fit) return fit.error();
  const auto installation = find_installation(options.plugins);
  const std::string path = absolute_path(options.config);

  broker::TrustedFiles trusted(broker::trusted_owners(installation.build_tree), warn);
  CheckedFiles files(trusted);

  const auto plugins = plugin_names(installation.plugin_directory, trusted);
  if (!plugins) return plugins.error();
  const auto config = read_config(path, files);
  if (!config) return config.error();
  auto settings = read_settings(**config, *plugins);
  if (!settings) return settings.error();
  auto offer = offer_of(path, **config, *settings, options.control);
  if (!offer) return offer.error();
  const auto user = main_user(*settings, **config, log);
  if (!user) return user.error();
  const auto program_user = settings->program_user.empty()
                                ? user
                                : named_user("program_user", settings->program_user, **config);
  if (!program_user) return program_user.error();

  broker::BrokerOptions broker;
  broker.plugin_directory = installation.plugin_directory;
  broker.offer = std::move(*offer);
  broker.build_tree = installation.build_tree;
  broker.probing = !options.control;
  if (options.control) {
    broker.restarts_a_minute = 3;
    broker.control_socket = settings->control_socket;
    broker.programs = true;
    broker.api_socket = settings->api_socket;
  }
  broker.read_group = settings->control_read_group;
  broker.write_group = settings->control_write_group;
  broker.uid = user->uid;
  broker.gid = user->gid;
  broker.program_uid = program_user->uid;
  broker.program_gid = program_user->gid;
  broker.warn = warn;
  broker.reload = [&]() -> Result<broker::Offer> {
    const auto changed = read_config(path, files);
    if (!changed) return changed.error();
    const auto judged = read_settings(**changed, *plugins);
    if (!judged) return judged.error();
    return offer_of(path, **changed, *judged, options.control);
  };
  return broker::launch(broker, [&](broker::Client& client) {
    return main(Launched{client, path, std::move(*settings)});
  });
}

}  // namespace trivet
