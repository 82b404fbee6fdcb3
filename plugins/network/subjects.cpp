// SPDX-License-Identifier: Apache-2.0
#include "network/subjects.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
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

// Accounts are looked for by name up to here; those of directories have larger ids.
constexpr std::uint32_t kMaxSystemId = 65535;

bool fits(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

std::optional<std::uint32_t> number(const std::string& text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// As a person writes it.
std::string name_of(const Selector& selector) {
  switch (selector.kind) {
    case Selector::Kind::cgroup:
      return "cgroup " + selector.text;
    case Selector::Kind::unit:
      return "unit " + selector.text;
    case Selector::Kind::container_name:
      return "container name " + selector.text;
    case Selector::Kind::container_image:
      return "container image " + selector.text;
    case Selector::Kind::container_label:
      return "container label " + selector.label + " = " + selector.text;
    case Selector::Kind::executable:
      return "exe " + selector.text;
    case Selector::Kind::user:
      return "user " + selector.text;
    case Selector::Kind::group:
      return "group " + selector.text;
    case Selector::Kind::netns:
      return "netns " + selector.text;
    case Selector::Kind::host:
      break;
  }
  return "host";
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

std::string path_to_component(const std::string& cgroup, const std::string& name) {
  for (std::size_t begin = 0; begin < cgroup.size();) {
    const auto end = std::min(cgroup.find('/', begin + 1), cgroup.size());
    if (fits(name, cgroup.substr(begin + 1, end - begin - 1))) return cgroup.substr(0, end);
    begin = end;
  }
  return {};
}

// One look at the host: what each selector stands for.
class Subjects::Search {
 public:
  Search(Subjects& subjects, const Facts& facts)
      : subjects_(subjects), facts_(facts), root_(facts.cgroup_root()) {
    if (!subjects.paths_.empty()) {
      std::ifstream mountinfo("/proc/self/mountinfo");
      mounts_ = read_mount_devices(mountinfo);
    }
    if (!subjects.by_process_) return;
    facts.each_process([&](const ProcessRef& process) {
      if (seen.insert(process->cgroup).second) processes_.push_back(process);
    });
  }

  Identities found;
  std::set<std::uint64_t> inodes;
  std::set<std::string, std::less<>> seen;  // cgroups of processes

  // False where the selector stands for nothing.
  bool add(const Selector& selector, std::size_t bit) {
    switch (selector.kind) {
      case Selector::Kind::cgroup:
        return add_cgroup(selector.text == "/" ? "" : selector.text, bit);
      case Selector::Kind::unit:
        return add_unit(selector.text, bit);
      case Selector::Kind::container_name:
      case Selector::Kind::container_image:
      case Selector::Kind::container_label:
        return add_containers(selector, bit);
      case Selector::Kind::executable:
        return add_executable(selector.text, bit);
      case Selector::Kind::user:
        return add_trait(POLICY_TRAIT_USER, account(selector, &Facts::user_name), bit);
      case Selector::Kind::group:
        return add_trait(POLICY_TRAIT_GROUP, account(selector, &Facts::group_name), bit);
      case Selector::Kind::netns:
        return add_trait(POLICY_TRAIT_NETNS, namespace_inode(selector.text), bit);
      case Selector::Kind::host:
        break;
    }
    return add_trait(POLICY_TRAIT_HOST, 1, bit);
  }

 private:
  static void set(SelectorBits& bits, std::size_t bit) { bits[bit / 64] |= 1ull << bit % 64; }

  bool add_cgroup(const std::string& path, std::size_t bit) {
    const auto id = cgroup_id(root_, path);
    if (id) set(found.cgroups[*id], bit);
    return id.has_value();
  }

  bool add_unit(const std::string& name, std::size_t bit) {
    bool any = add_cgroup("/system.slice/" + name, bit);
    for (const auto& process : processes_) {
      if (!fits(name, process->unit)) continue;
      const std::string path = path_to_component(process->cgroup, name);
      any = (!path.empty() && add_cgroup(path, bit)) || any;
    }
    return any;
  }

  bool add_containers(const Selector& selector, std::size_t bit) {
    bool any = false;
    for (const auto& process : processes_) {
      if (process->container_id.empty()) continue;
      const auto container = facts_.container(process->container_id);
      if (!container || !matches(selector, *container)) continue;
      // Runtimes name the cgroup after the container, with a prefix of their own.
      const std::string path =
          path_to_component(process->cgroup, "*" + process->container_id + "*");
      any = (!path.empty() && add_cgroup(path, bit)) || any;
    }
    return any;
  }

  static bool matches(const Selector& selector, const Container& container) {
    if (selector.kind == Selector::Kind::container_name) {
      return fits(selector.text, container.name);
    }
    if (selector.kind == Selector::Kind::container_image) {
      return fits(selector.text, container.image);
    }
    return std::ranges::any_of(container.labels, [&](const auto& label) {
      return label.first == selector.label && fits(selector.text, label.second);
    });
  }

  bool add_executable(const std::string& path, std::size_t bit) {
    auto id = executable_on_disk(path, mounts_);
    if (!id) {
      // Below a folder that is closed to this process, what runs tells the inode.
      facts_.each_process([&](const ProcessRef& process) {
        if (process->exe == path && process->host_namespaces && process->exe_inode) {
          id = ExecutableId{process->exe_inode, device_above(path, mounts_)};
        }
      });
    }
    if (!id) return false;
    set(found.executables[*id], bit);
    inodes.insert(id->inode);
    return true;
  }

  bool add_trait(policy_trait_kind kind, std::optional<std::uint32_t> value, std::size_t bit) {
    if (value) set(found.traits[{kind, *value}], bit);
    return value.has_value();
  }

  // The id of a user or group, who is kept once found: facts tell names by ids only.
  std::optional<std::uint32_t> account(const Selector& selector,
                                       std::optional<std::string> (Facts::*name_of)(std::uint32_t)
                                           const) {
    if (auto id = number(selector.text)) return id;
    if (auto known = subjects_.accounts_.find(selector); known != subjects_.accounts_.end()) {
      return known->second;
    }
    const auto is_it = [&](std::uint32_t id) {
      if ((facts_.*name_of)(id) != selector.text) return false;
      subjects_.accounts_.emplace(selector, id);
      return true;
    };
    if (!subjects_.looked_) {
      for (std::uint32_t id = 0; id <= kMaxSystemId; ++id) {
        if (is_it(id)) return id;
      }
    }
    std::set<std::uint32_t> ids;
    facts_.each_process([&](const ProcessRef& process) {
      ids.insert(selector.kind == Selector::Kind::user ? process->uid : process->gid);
    });
    const auto id = std::ranges::find_if(ids, is_it);
    return id == ids.end() ? std::nullopt : std::optional(*id);
  }

  static std::optional<std::uint32_t> namespace_inode(const std::string& text) {
    if (auto inode = number(text)) return inode;
    struct stat file {};
    if (stat(text.c_str(), &file) != 0) return std::nullopt;
    return static_cast<std::uint32_t>(file.st_ino);
  }

  Subjects& subjects_;
  const Facts& facts_;
  const std::string root_;
  MountDevices mounts_;
  std::vector<ProcessRef> processes_;  // one of each cgroup
};

Subjects::Subjects(std::vector<Selector> selectors) : selectors_(std::move(selectors)) {
  for (const auto& selector : selectors_) {
    const auto kind = selector.kind;
    if (kind == Selector::Kind::executable) paths_.insert(selector.text);
    by_process_ |= kind == Selector::Kind::unit || kind == Selector::Kind::container_name ||
                   kind == Selector::Kind::container_image ||
                   kind == Selector::Kind::container_label || kind == Selector::Kind::user ||
                   kind == Selector::Kind::group;
  }
}

bool Subjects::resolve(const Facts& facts) {
  Search search(*this, facts);
  unresolved_.clear();
  for (std::size_t bit = 0; bit < selectors_.size(); ++bit) {
    if (!search.add(selectors_[bit], bit)) unresolved_.insert(name_of(selectors_[bit]));
  }
  looked_ = true;
  Identities& found = search.found;

  std::map<ExecutableId, SelectorBits> replaced;
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
  inodes_ = std::move(search.inodes);
  seen_cgroups_ = std::move(search.seen);
  const bool changed = found != identities_;
  identities_ = std::move(found);
  return changed;
}

bool Subjects::concerns(const Process& process) const {
  return (paths_.contains(process.exe) && !inodes_.contains(process.exe_inode)) ||
         (by_process_ && !seen_cgroups_.contains(process.cgroup));
}

std::vector<std::string> Subjects::unresolved() const {
  return {unresolved_.begin(), unresolved_.end()};
}

}  // namespace trivet::network
