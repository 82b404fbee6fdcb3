// SPDX-License-Identifier: Apache-2.0
// Paths by their parts, for pmatch: one walk down the tree judges a path against all of them. A
// part with a wildcard is a glob of that part alone. Immutable once filled; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "security/rules/text_set.h"

namespace trivet::security {

class PathTree {
 public:
  PathTree() : nodes_(1) {}
  // False, with nothing added, for a path of more than kMaxParts parts.
  bool add(std::string_view path);
  // The path is one of those added, or below one.
  bool covers(std::string_view path) const;

  // Bounds the recursion. A path of the kernel's has at most 2048.
  static constexpr std::size_t kMaxParts = 2048;

 private:
  struct Node {
    bool end = false;  // of a path that was added
    std::unordered_map<std::string, std::uint32_t, TextHash, std::equal_to<>> names;
    std::vector<std::pair<std::string, std::uint32_t>> globs;
  };
  bool covers(const Node& node, std::string_view rest) const;

  std::vector<Node> nodes_;  // the root first
};

}  // namespace trivet::security
