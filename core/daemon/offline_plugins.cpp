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

namespace {

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

}  // namespace

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
  for (const auto& path : paths) text += quoted(absolute_path(path)) + ", ";
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
