// SPDX-License-Identifier: Apache-2.0
// TOML text as Config tables. The one place that includes the TOML library.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/file_source.h"
#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet {

// Parses `text`, which came from `path`. Files that it names are reached through `files`, which
// must outlive the Config. The tables that a Config hands out stay valid without it. Errors carry
// the place.
Result<std::unique_ptr<Config>> parse_toml(const std::string& path, const std::string& text,
                                           FileSource& files);

// A file that the configuration names, and where it does.
struct NamedFile {
  std::string path;  // absolute or relative to the working directory, not expanded if a folder
  Place place;
};

// Every path named by a key that ends in _file or _files, at any depth of `config`, in the files
// that those are not looked into: all that the daemon may open. Error for a value that is no text.
Result<std::vector<NamedFile>> named_files(const Config& config);

// Whether a key names files by the rule above.
bool names_files(std::string_view key);

// A table as TOML: a line for each key, inner tables inline, up to 32 in each other. The same for
// the same content.
std::string to_toml(const Config& table);
// A basic string (toml.io, v1.0.0), quotes included.
std::string toml_string(std::string_view text);

// `path` as seen from the folder of `configuration_file`.
std::string beside(const std::string& configuration_file, const std::string& path);

}  // namespace trivet
