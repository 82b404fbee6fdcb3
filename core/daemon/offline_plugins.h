// SPDX-License-Identifier: Apache-2.0
// The plugins' code in the process of the command line, with the rights of whoever runs it: for
// `trivet check` and the verbs that need no daemon. Main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/file_source.h"
#include "trivet/plugin.h"
#include "trivet/result.h"

namespace trivet {

class OfflinePlugins {
 public:
  explicit OfflinePlugins(std::string folder) : folder_(std::move(folder)) {}

  // The plugins that are installed.
  Result<std::vector<std::string>> names() const;
  // A new instance; its code stays mapped.
  Result<std::unique_ptr<Plugin>> create(const std::string& name) const;

 private:
  std::string folder_;
};

// A plugin's table that has nothing but `key`, the files given on the command line. `files` must
// outlive it.
Result<std::unique_ptr<Config>> table_of_files(const std::string& key,
                                               const std::vector<std::string>& paths,
                                               FileSource& files);

// Prints what the plugin's configure() found that stops nothing, with the lines that it is about.
void print_remarks(const Plugin& plugin);

}  // namespace trivet
