// SPDX-License-Identifier: Apache-2.0
#include "broker/cgroup_root.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace trivet::broker {
namespace {

// proc(5): space, tab, newline and backslash appear as a backslash and three octal digits.
std::string unescape(const std::string& text) {
  std::string plain;
  auto octal = [](char c) { return c >= '0' && c <= '7'; };
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                 (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

std::string cgroup_root_in(std::string_view mountinfo) {
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    // id parent device root mount-point options [tags...] - type source options
    std::istringstream fields(line);
    std::string id, parent, device, root, point, field, type;
    fields >> id >> parent >> device >> root >> point;
    while (fields >> field && field != "-") {
    }
    fields >> type;
    // Another root is a part of the hierarchy that somebody mounted by itself.
    if (type == "cgroup2" && root == "/") return unescape(point);
  }
  return {};
}

Result<std::string> cgroup_root() {
  std::ifstream file("/proc/self/mountinfo");
  if (!file) return Error{"cannot read /proc/self/mountinfo", ENOENT};
  std::stringstream text;
  text << file.rdbuf();
  std::string root = cgroup_root_in(text.str());
  if (root.empty()) {
    return Error{"the cgroup2 hierarchy is not mounted: mount -t cgroup2 none /sys/fs/cgroup",
                 ENOENT};
  }
  return root;
}

}  // namespace trivet::broker
