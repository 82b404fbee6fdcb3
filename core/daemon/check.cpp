// SPDX-License-Identifier: Apache-2.0
// `trivet check`: everything that start-up would validate, without root and without starting
// anything.
#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <iostream>
#include <map>

#include "broker/unique_fd.h"
#include "config/settings.h"
#include "config/toml_file.h"
#include "daemon/commands.h"
#include "daemon/installation.h"
#include "daemon/launcher.h"
#include "plugins/library.h"

namespace trivet {

namespace {

// The plugins' code in this process, with the rights of whoever checks.
class CheckedPlugins {
 public:
  explicit CheckedPlugins(std::string folder) : folder_(std::move(folder)) {}

  Result<std::vector<std::string>> names() const {
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, error))
      if (entry.path().extension() == ".so") names.push_back(entry.path().stem());
    if (error) return system_error(error.value(), "cannot list the plugin folder " + folder_);
    return names;
  }

  // Validates a table as that plugin would, and prints its remarks.
  Result<void> configure(const std::string& name, const Config& table) {
    const std::string path = folder_ + "/" + name + ".so";
    const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return system_error(errno, "cannot open plugin " + path);
    auto library = plugins::Library::open(file.get(), path, name);
    if (!library) return library.error();
    auto plugin = library->create();
    if (!plugin) return plugin.error();
    if (auto valid = (*plugin)->configure(table); !valid) return valid;
    for (const auto& remark : (*plugin)->remarks())
      std::cerr << "warning: " << remark.to_string() << '\n';
    return {};
  }

 private:
  std::string folder_;
};

Result<void> check_config(const std::string& path, CheckedPlugins& plugins) {
  const auto names = plugins.names();
  if (!names) return names.error();
  PlainFiles files;
  const auto settings = read_configuration(path, files, *names);
  if (!settings) return settings.error();
  for (const auto& plugin : settings->plugins)
    if (plugin.enabled)
      if (auto valid = plugins.configure(plugin.name, *plugin.table); !valid) return valid;
  return {};
}

// A TOML basic string (toml.io, v1.0.0).
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      static constexpr char kHex[] = "0123456789ABCDEF";
      out += std::string("\\u00") + kHex[c >> 4] + kHex[c & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

// The files given on the command line, as the plugin's table would name them.
Result<void> check_files(const std::string& plugin, const std::string& key,
                         const std::vector<std::string>& paths, CheckedPlugins& plugins) {
  std::string text = key + " = [";
  for (const auto& path : paths) text += quoted(absolute_path(path)) + ", ";
  text += "]\n";
  PlainFiles files;
  const auto table = parse_toml("command line", text, files);
  if (!table) return table.error();
  return plugins.configure(plugin, **table);
}

}  // namespace

int check(const CheckOptions& options) {
  CheckedPlugins plugins(find_installation(options.plugins).plugin_directory);
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
