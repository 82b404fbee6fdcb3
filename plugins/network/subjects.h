// SPDX-License-Identifier: Apache-2.0
// Which cgroups and executable files stand for a policy's subjects at present. Both come and go: a
// cgroup with its service, a file with its package's update. Plugin's worker thread.
#pragma once

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

// Bits of subjects by identity.
struct Identities {
  std::map<std::uint64_t, std::uint64_t> cgroups;
  std::map<ExecutableId, std::uint64_t> executables;
  bool operator==(const Identities&) const = default;
};

// By id of the mount, the super block's device as the kernel has it.
using MountDevices = std::map<std::uint64_t, std::uint32_t>;

// From the text of /proc/PID/mountinfo (proc(5)); lines that are none are left out.
MountDevices read_mount_devices(std::istream& mountinfo);

class Subjects {
 public:
  explicit Subjects(std::vector<Subject> subjects);

  // Looks again at the file system and the processes; true if identities() changed. A replaced
  // executable goes on counting while a process runs it.
  bool resolve(const Facts& facts);
  const Identities& identities() const { return identities_; }

  // Whether an image of that path and inode is one that resolve() would want to see at once.
  bool concerns(const Process& process) const;

  // The subjects that stand for nothing at present, as a person wrote them.
  std::vector<std::string> unresolved() const;

 private:
  std::vector<Subject> subjects_;
  std::set<std::string, std::less<>> paths_;  // of executables
  std::set<std::uint64_t> inodes_;            // of their files as last seen
  Identities identities_;
  std::set<std::string> unresolved_;
};

}  // namespace trivet::network
