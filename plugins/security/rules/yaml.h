// SPDX-License-Identifier: Apache-2.0
// YAML as a plain tree with places, read from hostile text within bounds. Values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet::security {

struct YamlNode {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  Place place;
  std::string text;             // of a scalar
  std::vector<YamlNode> keys;   // of a map, in order
  std::vector<YamlNode> items;  // of a list; of a map, the value of each key

  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_list() const { return kind == Kind::list; }
  bool is_map() const { return kind == Kind::map; }
  bool is_null() const { return kind == Kind::null; }
  // The value of a key; nullptr if there is none, or this is no map.
  const YamlNode* find(std::string_view key) const;
};

// The documents of a file, or where it is not YAML. What aliases repeat counts each time: a file
// stands for at most kMaxYamlNodes nodes.
std::variant<std::vector<YamlNode>, Error> parse_yaml(const TextFile& file);

inline constexpr std::size_t kMaxYamlNodes = 1'000'000;

}  // namespace trivet::security
