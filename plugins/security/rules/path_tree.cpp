// SPDX-License-Identifier: Apache-2.0
#include "security/rules/path_tree.h"

#include <algorithm>

#include "security/rules/glob.h"

namespace trivet::security {
namespace {

// Takes the next part off a path; empty at its end. Slashes that follow each other are one.
std::string_view take_part(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
  auto part = rest.substr(0, rest.find('/'));
  rest.remove_prefix(part.size());
  return part;
}

}  // namespace

bool PathTree::add(std::string_view path) {
  if (static_cast<std::size_t>(std::ranges::count(path, '/')) >= kMaxParts) return false;
  std::uint32_t at = 0;
  for (auto part = take_part(path); !part.empty(); part = take_part(path)) {
    auto fresh = static_cast<std::uint32_t>(nodes_.size());
    auto next = fresh;
    if (part.find_first_of("*?[") != part.npos) {
      auto& globs = nodes_[at].globs;
      auto known = std::ranges::find(globs, part,
                                     [](const auto& glob) { return std::string_view(glob.first); });
      if (known != globs.end()) {
        next = known->second;
      } else {
        globs.emplace_back(part, fresh);
      }
    } else {
      next = nodes_[at].names.try_emplace(std::string(part), fresh).first->second;
    }
    if (next == fresh) nodes_.emplace_back();
    at = next;
  }
  nodes_[at].end = true;
  return true;
}

bool PathTree::covers(std::string_view path) const {
  return covers(nodes_.front(), path);
}

// Visits each node at most once: a node's depth is the number of parts taken.
bool PathTree::covers(const Node& node, std::string_view rest) const {
  if (node.end) return true;
  auto part = take_part(rest);
  if (part.empty()) return false;
  if (auto next = node.names.find(part); next != node.names.end()) {
    if (covers(nodes_[next->second], rest)) return true;
  }
  return std::ranges::any_of(node.globs, [&](const auto& glob) {
    return glob_matches(glob.first, part) && covers(nodes_[glob.second], rest);
  });
}

}  // namespace trivet::security
