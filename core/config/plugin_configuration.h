// SPDX-License-Identifier: Apache-2.0
// What a plugin was configured with, to compare and to keep: its table and every file that it read.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace trivet {

// Files as they were read, by path.
struct ReadFiles {
  std::map<std::string, std::vector<std::string>> folders;  // the files that each path stands for
  std::map<std::string, std::string> texts;
};

struct PluginConfiguration {
  std::string name;
  std::string toml;  // its table, without the core's keys
  ReadFiles files;

  bool operator==(const PluginConfiguration& other) const {
    return toml == other.toml && files.texts == other.files.texts;
  }
};

}  // namespace trivet
