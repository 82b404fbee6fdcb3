// SPDX-License-Identifier: Apache-2.0
#include "network/subjects.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <fstream>
#include <optional>
#include <utility>

namespace trivet::network {

namespace {

std::uint32_t kernel_device(unsigned major_number, unsigned minor_number) {
  return major_number << 20 | minor_number;
}

struct File {
  std::uint64_t inode;
  std::uint32_t device;
  bool regular;
};

// Programs see the super block's device. On btrfs and overlay, stat() tells another one; the table
// of mounts has it right.
std::optional<File> look_at(const std::string& path, const MountDevices& mounts) {
  struct statx found {};
  if (statx(AT_FDCWD, path.c_str(), 0, STATX_TYPE | STATX_INO | STATX_MNT_ID, &found) != 0) {
    return std::nullopt;
  }
  std::uint32_t device = kernel_device(found.stx_dev_major, found.stx_dev_minor);
  if (found.stx_mask & STATX_MNT_ID) {
    if (const auto mount = mounts.find(found.stx_mnt_id); mount != mounts.end()) {
      device = mount->second;
    }
  }
  return File{found.stx_ino, device, S_ISREG(found.stx_mode)};
}

// A cgroup2 id is the inode number of its folder.
std::optional<std::uint64_t> cgroup_id(const std::string& root, const std::string& path) {
  struct stat found {};
  if (stat((root + path).c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) return std::nullopt;
  return found.st_ino;
}

std::optional<ExecutableId> executable_on_disk(const std::string& path,
                                               const MountDevices& mounts) {
  const auto file = look_at(path, mounts);
  if (!file || !file->regular) return std::nullopt;
  return ExecutableId{file->inode, file->device};
}

// The device of the deepest folder above `path` that this unprivileged process may look at.
std::uint32_t device_above(std::string path, const MountDevices& mounts) {
  do {
    path.erase(path.rfind('/'));
    if (const auto folder = look_at(path.empty() ? "/" : path, mounts)) return folder->device;
  } while (!path.empty());
  return 0;
}

}  // namespace

MountDevices read_mount_devices(std::istream& mountinfo) {
  MountDevices devices;
  std::string line;
  while (std::getline(mountinfo, line)) {
    unsigned long long mount = 0;
    unsigned major_number = 0, minor_number = 0;
    if (std::sscanf(line.c_str(), "%llu %*u %u:%u", &mount, &major_number, &minor_number) == 3) {
      devices[mount] = kernel_device(major_number, minor_number);
    }
  }
  return devices;
}

Subjects::Subjects(std::vector<Subject> subjects) : subjects_(std::move(subjects)) {
  for (const auto& subject : subjects_) {
    if (!subject.executable.empty()) paths_.insert(subject.executable);
  }
}

bool Subjects::resolve(const Facts& facts) {
  Identities found;
  std::set<std::uint64_t> inodes;
  unresolved_.clear();
  const std::string root = facts.cgroup_root();
  MountDevices mounts;
  if (!paths_.empty()) {
    std::ifstream mountinfo("/proc/self/mountinfo");
    mounts = read_mount_devices(mountinfo);
  }
  for (std::size_t bit = 0; bit < subjects_.size(); ++bit) {
    const Subject& subject = subjects_[bit];
    const std::uint64_t mask = 1ull << bit;
    if (!subject.cgroup.empty()) {
      if (auto id = cgroup_id(root, subject.cgroup == "/" ? "" : subject.cgroup)) {
        found.cgroups[*id] |= mask;
      } else {
        unresolved_.insert("cgroup " + subject.cgroup);
      }
      continue;
    }
    auto id = executable_on_disk(subject.executable, mounts);
    if (!id) {
      // Below a folder that is closed to this process, what runs tells the inode.
      facts.each_process([&](const ProcessRef& process) {
        if (process->exe == subject.executable && process->host_namespaces && process->exe_inode) {
          id = ExecutableId{process->exe_inode, device_above(subject.executable, mounts)};
        }
      });
    }
    if (id) {
      found.executables[*id] |= mask;
      inodes.insert(id->inode);
    } else {
      unresolved_.insert("exe " + subject.executable);
    }
  }

  std::map<ExecutableId, std::uint64_t> replaced;
  for (const auto& [id, bits] : identities_.executables) {
    if (!found.executables.contains(id)) replaced.emplace(id, bits);
  }
  if (!replaced.empty()) {
    facts.each_process([&](const ProcessRef& process) {
      for (const auto& [id, bits] : replaced) {
        if (id.inode == process->exe_inode) found.executables.emplace(id, bits);
      }
    });
  }
  inodes_ = std::move(inodes);
  const bool changed = found != identities_;
  identities_ = std::move(found);
  return changed;
}

bool Subjects::concerns(const Process& process) const {
  return paths_.contains(process.exe) && !inodes_.contains(process.exe_inode);
}

std::vector<std::string> Subjects::unresolved() const {
  return {unresolved_.begin(), unresolved_.end()};
}

}  // namespace trivet::network
