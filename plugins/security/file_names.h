// SPDX-License-Identifier: Apache-2.0
// The other names of a file that an event is about: what it is called where its file system is
// mounted as a whole, where the links on the way lead, and which of the paths that rules name is
// the very same file. Rules are judged under each. The worker's.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "security/rule_event.h"

namespace trivet::security {

class FilterGraph;

// The absolute paths that the conditions of a graph compare paths with, one by one, sorted.
std::vector<std::string> paths_named(const FilterGraph& graph);

// What is mounted, from /proc/self/mountinfo.
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

class FileNames {
 public:
  // `paths`: those that rules name.
  explicit FileNames(std::vector<std::string> paths);

  const std::vector<std::string>& paths() const { return paths_; }
  // Looks again which files the paths lead to, and what is mounted: about once a second.
  void refresh();

  // An event with other names for some of its paths.
  struct Reading {
    std::string path;
    std::array<std::string, 2> given;
  };
  // The readings besides that of the event itself, at most two. Sets event.uncertain where a path
  // may have led elsewhere when the kernel followed it.
  std::vector<Reading> readings(RuleEvent& event);

 private:
  struct File {
    std::uint32_t device = 0;
    std::uint64_t inode = 0;
    auto operator<=>(const File&) const = default;
  };
  // Where a path leads to now.
  struct Place {
    std::string path;
    std::optional<File> file;
    std::optional<std::string> whole;  // its name where the whole file system is mounted
  };

  std::optional<Place> look(const std::string& path, bool follows, bool identify);
  std::optional<Place> place_of_argument(const RuleEvent& event, std::size_t i);
  std::optional<std::string> name_in_whole(const RuleEvent& event) const;
  // One of the rules' paths that is this file as well.
  std::optional<std::string> rule_path(const File& file, std::string_view known);
  bool in_our_mounts(const RuleEvent& event) const;
  std::optional<std::string> without_proc(const RuleEvent& event, std::string path) const;

  std::vector<std::string> paths_;
  std::map<File, std::string> files_;  // the rules' paths by what they lead to
  MountTable mounts_;
  std::uint32_t own_namespace_ = 0;
};

}  // namespace trivet::security
