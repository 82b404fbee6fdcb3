// SPDX-License-Identifier: Apache-2.0
// What is mounted where trivet runs, from /proc/self/mountinfo, and what files are called where
// their whole file system is mounted. The worker's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace trivet::security {

class MountTable {
 public:
  struct Mount {
    std::uint32_t device = 0;  // as the kernel encodes it: major << 20 | minor
    std::string root;          // the part of its file system that is mounted
    std::string point;
    bool overlay = false;
  };

  MountTable();
  ~MountTable();
  MountTable(const MountTable&) = delete;
  MountTable& operator=(const MountTable&) = delete;

  // Reads it again if it changed. Costs a system call if it did not.
  void refresh();
  void parse(std::string_view mountinfo);
  const Mount* mount(std::uint64_t id) const;
  // What a path is called where the whole file system is mounted, if it goes through a mount that
  // shows it at another place.
  std::optional<std::string> name_in_whole(std::string_view path) const;
  // Whether no lookup of a path waits for a program or another machine.
  bool all_local() const { return all_local_; }
  // Where the whole file system of a device is mounted, first; nullptr where it is not, and for
  // overlays, whose parts have names of their own.
  const Mount* whole(std::uint32_t device) const;

 private:
  int fd_ = -1;
  bool all_local_ = false;
  std::unordered_map<std::uint64_t, Mount> mounts_;
  std::unordered_map<std::uint32_t, std::uint64_t> whole_;
  std::vector<const Mount*> elsewhere_;  // those that show what is at another place as well
};

// The name in the folder, with one slash between them.
std::string joined(std::string_view folder, std::string_view name);

}  // namespace trivet::security
