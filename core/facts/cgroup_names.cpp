// SPDX-License-Identifier: Apache-2.0
#include "facts/cgroup_names.h"

#include <algorithm>
#include <cctype>

namespace trivet {

namespace {

constexpr std::size_t kContainerIdDigits = 64;
constexpr std::size_t kShortIdDigits = 12;

bool names_unit_with_processes(std::string_view component) {
  for (std::string_view suffix : {".service", ".scope", ".socket", ".mount", ".swap"})
    if (component.size() > suffix.size() && component.ends_with(suffix)) return true;
  return false;
}

}  // namespace

std::string unit_of_cgroup(std::string_view path) {
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto component = path.substr(0, slash);
    if (names_unit_with_processes(component)) return std::string(component);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  return {};
}

std::string container_of_cgroup(std::string_view path) {
  std::size_t digits = 0;
  for (std::size_t i = 0; i <= path.size(); ++i) {
    const bool hex = i < path.size() && (std::isdigit(static_cast<unsigned char>(path[i])) ||
                                         (path[i] >= 'a' && path[i] <= 'f'));
    if (hex) {
      ++digits;
      continue;
    }
    if (digits == kContainerIdDigits) return std::string(path.substr(i - digits, digits));
    digits = 0;
  }
  return {};
}

std::string short_container_id(std::string_view id) {
  return std::string(id.substr(0, kShortIdDigits));
}

}  // namespace trivet
