// SPDX-License-Identifier: Apache-2.0
// One item of a rule file, a map: its keys read one by one, mistakes told at their places. Used
// while files are read, on that thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "security/rules/source_text.h"
#include "security/rules/yaml.h"

namespace trivet::security {

// Where what is wrong goes, at most so much of it.
struct Findings {
  static constexpr std::size_t kMost = 50;
  static constexpr std::size_t kMostWarnings = 1000;
  std::vector<Error> errors;    // the files cannot be used
  std::vector<Error> warnings;  // they can

  void fail(const Place& place, std::string message);
  void warn(const Place& place, std::string message);
  // Further errors would not be told.
  bool full() const { return errors.size() >= kMost; }
};

class Item {
 public:
  // `node` must be a map and, like the others, outlive the item.
  Item(const YamlNode& node, const std::shared_ptr<const TextFile>& file, Findings& findings)
      : node_(node), file_(file), findings_(findings) {}

  const Place& place() const { return node_.place; }
  bool has(std::string_view key) const { return node_.find(key) != nullptr; }
  const YamlNode* find(std::string_view key) const { return node_.find(key); }
  // The keys that are there, in order; false after saying that one is no word or there twice.
  bool unique_keys() const;
  // False after naming the keys that are nearly one of these. Warns of those that are like none.
  bool known_keys(const std::vector<std::string>& known) const;

  // Each answers nothing where the key is absent, or after saying what is wrong with its value.
  std::optional<std::string> scalar(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<SourceText> source(std::string_view key) const;
  std::optional<std::vector<std::string>> texts(std::string_view key) const;

  void fail(std::string message) const { findings_.fail(place(), std::move(message)); }
  void fail_at(std::string_view key, std::string message) const;

 private:
  const YamlNode& node_;
  const std::shared_ptr<const TextFile>& file_;
  Findings& findings_;
};

// true, false, yes, no, on, off in any case.
std::optional<bool> parse_boolean(std::string_view text);

}  // namespace trivet::security
