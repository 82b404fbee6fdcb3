// SPDX-License-Identifier: Apache-2.0
// How the files that the configuration names are reached: opened here in `trivet check`, by the
// broker in the daemon, whose main process may open nothing.
#pragma once

#include <string>
#include <vector>

#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet {

// Larger files are refused: the largest rule set in the field has 300 KB.
inline constexpr std::size_t kMaxConfigFileBytes = 16 << 20;
// Files that one folder may hold.
inline constexpr std::size_t kMaxFolderFiles = 1000;

class FileSource {
 public:
  virtual ~FileSource() = default;
  // The files that `path` stands for: itself, or if it is a folder the files in it, sorted by name,
  // whose names do not start with a dot.
  virtual Result<std::vector<std::string>> expand(const std::string& path) = 0;
  virtual Result<TextFile> read(const std::string& path) = 0;
};

// Files that this process opens itself. Stateless; any thread.
class PlainFiles : public FileSource {
 public:
  Result<std::vector<std::string>> expand(const std::string& path) override;
  Result<TextFile> read(const std::string& path) override;
};

// For text that may name no files. Stateless; any thread.
class NoFiles final : public FileSource {
 public:
  Result<std::vector<std::string>> expand(const std::string&) override { return refusal(); }
  Result<TextFile> read(const std::string&) override { return refusal(); }

 private:
  static Error refusal() { return Error{"no file can be named here"}; }
};

// Reads a descriptor to its end. Takes no ownership. Error if it is not a regular file or too
// large.
Result<TextFile> read_text(int descriptor, const std::string& path);

}  // namespace trivet
