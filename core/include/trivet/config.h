// SPDX-License-Identifier: Apache-2.0
// A plugin's typed view of its own table in trivet.toml, and of the files that it names. The TOML
// library stays behind this interface.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trivet/api.h"
#include "trivet/result.h"

namespace trivet {

// A file that the configuration names, read whole.
struct TextFile {
  std::string path;
  std::string text;
  bool world_readable = false;  // a secret is not
};

// One table. Getters answer nullopt where the key is absent, an error with its place where the
// value has another type. Not thread-safe; valid until configure() returns.
class Config {
 public:
  virtual ~Config() = default;

  virtual std::vector<std::string> keys() const = 0;
  // Of the key's value, or of the table itself where key is empty.
  virtual Place place(std::string_view key) const = 0;

  virtual Result<std::optional<bool>> boolean(std::string_view key) const = 0;
  virtual Result<std::optional<std::int64_t>> integer(std::string_view key) const = 0;
  virtual Result<std::optional<double>> number(std::string_view key) const = 0;
  virtual Result<std::optional<std::string>> text(std::string_view key) const = 0;
  // A string stands for a list of one.
  virtual Result<std::optional<std::vector<std::string>>> texts(std::string_view key) const = 0;
  // Null where the key is absent.
  virtual Result<std::unique_ptr<Config>> table(std::string_view key) const = 0;
  // An array of tables ([[key]]); empty where the key is absent.
  virtual Result<std::vector<std::unique_ptr<Config>>> tables(std::string_view key) const = 0;

  // The files named by a key that ends in `_file` or `_files`: such keys, and no others, name files
  // that the daemon may open. A relative path starts at the configuration file's folder; a folder
  // stands for the files in it, sorted, whose names do not start with a dot. Unreadable: an error
  // at the key's place.
  virtual Result<std::vector<TextFile>> files(std::string_view key) const = 0;
  // A file named by such a key, parsed as TOML; errors carry places in that file.
  virtual Result<std::vector<std::unique_ptr<Config>>> toml_files(std::string_view key) const = 0;
};

// Reads a table key by key and then refuses the keys that nobody asked for, naming the nearest one
// that exists. The first error is kept; what follows it is skipped, so a caller checks once:
//
//   ConfigReader read(table);
//   read("body_limit", options.body_limit);
//   return read.finish();
class TRIVET_API ConfigReader {
 public:
  explicit ConfigReader(const Config& table) : table_(table) {}

  // Each leaves `out` as it is where the key is absent.
  void operator()(std::string_view key, bool& out);
  void operator()(std::string_view key, std::int64_t& out);
  void operator()(std::string_view key, double& out);
  void operator()(std::string_view key, std::string& out);
  void operator()(std::string_view key, std::vector<std::string>& out);
  // An integer in [low, high], else an error at its place.
  void range(std::string_view key, std::int64_t& out, std::int64_t low, std::int64_t high);
  // One of `allowed`, else an error that lists them.
  void choice(std::string_view key, std::string& out, const std::vector<std::string>& allowed);
  std::unique_ptr<Config> table(std::string_view key);
  std::vector<std::unique_ptr<Config>> tables(std::string_view key);
  std::vector<TextFile> files(std::string_view key);
  std::vector<std::unique_ptr<Config>> toml_files(std::string_view key);

  // Marks a key as known without reading it.
  void known(std::string_view key);
  // Keeps the first error, placed at the key where it has no place of its own.
  void fail(std::string_view key, Error error);
  bool failed() const { return error_.has_value(); }
  // The first error, else one for the first unknown key, else success.
  Result<void> finish();

 private:
  template <class T>
  void store(Result<std::optional<T>> value, std::string_view key, T& out);

  const Config& table_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

// The name of `candidates` that is nearest to `word` by edit distance, or empty if none is near.
TRIVET_API std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace trivet
