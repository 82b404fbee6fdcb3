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
#include <utility>
#include <vector>

#include "security/mount_table.h"
#include "security/rule_event.h"

namespace trivet::security {

class FilterGraph;

// The absolute paths that the conditions of a graph compare paths with, one by one, sorted.
std::vector<std::string> paths_named(const FilterGraph& graph);

class FileNames {
 public:
  // `paths`: those that rules name. Unless `here`, what is judged happened on another machine or at
  // another time: then there is nothing to look at, and names are what the kernel told.
  FileNames(std::vector<std::string> paths, bool here);

  const std::vector<std::string>& paths() const { return paths_; }
  // Looks again which files the paths lead to, and what is mounted: about once a second.
  void refresh();

  // An event with other names for some of its paths.
  struct Reading {
    std::string path;
    std::array<std::string, 2> given;
    bool operator==(const Reading&) const = default;
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
  bool here_;
  std::map<File, std::string> files_;  // the rules' paths by what they lead to
  std::optional<std::pair<std::string, std::optional<Place>>> folder_;  // looked up for this event
  MountTable mounts_;
  std::uint32_t own_namespace_ = 0;
};

}  // namespace trivet::security
