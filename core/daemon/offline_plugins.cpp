// SPDX-License-Identifier: Apache-2.0
#include "daemon/offline_plugins.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <iostream>

#include "broker/unique_fd.h"
#include "config/toml_file.h"
#include "daemon/installation.h"
#include "daemon/launcher.h"
#include "plugins/library.h"

namespace trivet {

Result<std::vector<std::string>> OfflinePlugins::names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error))
    if (entry.path().extension() == ".so") names.push_back(entry.path().stem());
  if (error) return system_error(error.value(), "cannot list the plugin folder " + folder_);
  return names;
}

Result<std::unique_ptr<Plugin>> OfflinePlugins::create(const std::string& name) const {
  const std::string path = folder_ + "/" + name + ".so";
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_error(errno, "cannot open plugin " + path);
  auto library = plugins::Library::open(file.get(), path, name);
  if (!library) return library.error();
  return library->create();
}

Result<std::unique_ptr<Config>> table_of_files(const std::string& key,
                                               const std::vector<std::string>& paths,
                                               FileSource& files) {
  std::string text = key + " = [";
  for (const auto& path : paths) text += toml_string(absolute_path(path)) + ", ";
  return parse_toml("command line", text + "]\n", files);
}

void print_remarks(const Plugin& plugin) {
  PlainFiles files;
  for (const auto& remark : plugin.remarks()) {
    std::cerr << "warning: " << remark.to_string() << '\n';
    const auto text = files.read(remark.place.file);
    if (!text) continue;
    if (const auto line = source_line(remark.place, text->text); !line.empty())
      std::cerr << line << '\n';
  }
}

}  // namespace trivet
