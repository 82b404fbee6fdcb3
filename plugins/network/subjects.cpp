// SPDX-License-Identifier: Apache-2.0
#include "network/subjects.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <optional>
#include <utility>

namespace trivet::network {

namespace {

std::uint32_t kernel_device(dev_t device) {
  return major(device) << 20 | minor(device);
}

// A cgroup2 id is the inode number of its folder.
std::optional<std::uint64_t> cgroup_id(const std::string& root, const std::string& path) {
  struct stat found {};
  if (stat((root + path).c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) return std::nullopt;
  return found.st_ino;
}

std::optional<ExecutableId> executable_on_disk(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) return std::nullopt;
  return ExecutableId{found.st_ino, kernel_device(found.st_dev)};
}

// The device of the deepest folder above `path` that this unprivileged process may look at.
std::uint32_t device_above(std::string path) {
  struct stat found {};
  do {
    path.erase(path.rfind('/'));
    if (stat(path.empty() ? "/" : path.c_str(), &found) == 0) return kernel_device(found.st_dev);
  } while (!path.empty());
  return 0;
}

}  // namespace

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
    auto id = executable_on_disk(subject.executable);
    if (!id) {
      // Below a folder that is closed to this process, what runs tells the inode.
      facts.each_process([&](const ProcessRef& process) {
        if (process->exe == subject.executable && process->host_namespaces && process->exe_inode) {
          id = ExecutableId{process->exe_inode, device_above(subject.executable)};
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
