// SPDX-License-Identifier: Apache-2.0
// What a policy's selectors stand for at present: cgroups, executable files, users, namespaces. All
// come and go: a cgroup with its service or container, a file with its package's update. Plugin's
// worker thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <istream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "network/policy_file.h"
#include "trivet/facts.h"

namespace trivet::network {

struct ExecutableId {
  std::uint64_t inode = 0;
  std::uint32_t device = 0;  // as the kernel has it: major << 20 | minor
  auto operator<=>(const ExecutableId&) const = default;
};

struct Trait {
  policy_trait_kind kind = POLICY_TRAIT_USER;
  std::uint32_t value = 0;
  auto operator<=>(const Trait&) const = default;
};

using SelectorBits = std::array<std::uint64_t, POLICY_SELECTOR_WORDS>;

// Bits of selectors by identity.
struct Identities {
  std::map<std::uint64_t, SelectorBits> cgroups;
  std::map<ExecutableId, SelectorBits> executables;
  std::map<Trait, SelectorBits> traits;
  bool operator==(const Identities&) const = default;
};

// By id of the mount, the super block's device as the kernel has it.
using MountDevices = std::map<std::uint64_t, std::uint32_t>;

// From the text of /proc/PID/mountinfo (proc(5)); lines that are none are left out.
MountDevices read_mount_devices(std::istream& mountinfo);

// The part of a cgroup's path up to the component that `name` matches as a pattern; empty if none
// does: "/system.slice/nginx.service" of "/system.slice/nginx.service/worker".
std::string path_to_component(const std::string& cgroup, const std::string& name);

class Subjects {
 public:
  explicit Subjects(std::vector<Selector> selectors);

  // Looks again at the file system and the processes; true if identities() changed. A replaced
  // executable goes on counting while a process runs it.
  bool resolve(const Facts& facts);
  const Identities& identities() const { return identities_; }

  // Whether a new image is one that resolve() would want to see at once.
  bool concerns(const Process& process) const;

  // The selectors that stand for nothing at present, as a person wrote them.
  std::vector<std::string> unresolved() const;

 private:
  class Search;

  std::vector<Selector> selectors_;
  std::set<std::string, std::less<>> paths_;  // of executables
  std::set<std::uint64_t> inodes_;            // of their files as last seen
  bool by_process_ = false;  // a selector is found by looking at processes' cgroups
  std::set<std::string, std::less<>> seen_cgroups_;  // of processes, when resolve() last looked
  std::map<Selector, std::uint32_t> accounts_;       // users and groups that were found
  bool looked_ = false;
  Identities identities_;
  std::set<std::string> unresolved_;
};

}  // namespace trivet::network
