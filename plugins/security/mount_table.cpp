// SPDX-License-Identifier: Apache-2.0
#include "security/mount_table.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "security/rule_event.h"

namespace trivet::security {
namespace {

// File systems that answer from memory or a disk of this machine. Others may make a lookup wait for
// as long as somebody's program or another machine likes.
constexpr std::string_view kLocal[] = {
    "ext2",     "ext3",        "ext4",       "xfs",       "btrfs",     "f2fs",     "zfs",
    "bcachefs", "vfat",        "exfat",      "ntfs3",     "squashfs",  "erofs",    "iso9660",
    "udf",      "overlay",     "tmpfs",      "ramfs",     "rootfs",    "devtmpfs", "devpts",
    "proc",     "sysfs",       "cgroup",     "cgroup2",   "bpf",       "debugfs",  "tracefs",
    "mqueue",   "hugetlbfs",   "securityfs", "pstore",    "efivarfs",  "configfs", "fusectl",
    "nsfs",     "binfmt_misc", "ramdisk",    "selinuxfs", "rpc_pipefs"};

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// Spaces and their like are three octal digits.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out +=
          static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string joined(std::string_view folder, std::string_view name) {
  std::string out(folder);
  if (!out.ends_with('/') && !name.starts_with('/')) out += '/';
  return out.append(name);
}

MountTable::MountTable() : fd_(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {}

MountTable::~MountTable() {
  if (fd_ >= 0) close(fd_);
}

void MountTable::refresh() {
  // The kernel tells a change once, to each who has it open; the first time counts as one.
  pollfd changed{fd_, POLLPRI, 0};
  bool first = mounts_.empty();
  if (fd_ < 0 || (!first && (poll(&changed, 1, 0) <= 0 || !(changed.revents & POLLPRI)))) return;
  std::string text;
  char part[16384];
  if (lseek(fd_, 0, SEEK_SET) != 0) return;
  for (ssize_t size; (size = read(fd_, part, sizeof(part))) > 0;)
    text.append(part, static_cast<std::size_t>(size));
  parse(text);
}

void MountTable::parse(std::string_view mountinfo) {
  mounts_.clear();
  whole_.clear();
  elsewhere_.clear();
  all_local_ = true;
  while (!mountinfo.empty()) {
    auto line = mountinfo.substr(0, mountinfo.find('\n'));
    mountinfo.remove_prefix(std::min(line.size() + 1, mountinfo.size()));
    // 36 35 98:0 /part /where options [optional] - type source options
    std::array<std::string_view, 5> words;
    auto rest = line;
    for (auto& word : words) {
      word = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    }
    auto colon = words[2].find(':');
    if (colon == words[2].npos) continue;
    auto id = number<std::uint64_t>(words[0]);
    auto major = number<std::uint32_t>(words[2].substr(0, colon));
    auto minor = number<std::uint32_t>(words[2].substr(colon + 1));
    if (!id || !major || !minor) continue;
    auto dash = rest.find(" - ");
    auto type = dash == rest.npos ? std::string_view() : rest.substr(dash + 3);
    type = type.substr(0, type.find(' '));
    if (std::ranges::find(kLocal, type) == std::end(kLocal)) all_local_ = false;
    Mount mount{*major << 20 | *minor, unescaped(words[3]), unescaped(words[4]), type == "overlay"};
    if (mount.root == "/" && !mount.overlay) whole_.try_emplace(mount.device, *id);
    mounts_.insert_or_assign(*id, std::move(mount));
  }
  for (const auto& [id, mount] : mounts_) {
    const Mount* first = whole(mount.device);
    if (first && first != &mount && !mount.overlay && mount.point != "/")
      elsewhere_.push_back(&mount);
  }
}

std::optional<std::string> MountTable::name_in_whole(std::string_view path) const {
  const Mount* nearest = nullptr;
  for (const Mount* mount : elsewhere_) {
    auto& point = mount->point;
    bool covers =
        path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/');
    if (covers && (!nearest || point.size() >= nearest->point.size())) nearest = mount;
  }
  if (!nearest) return std::nullopt;
  // A mount below it may be nearer, and be nowhere else.
  for (const auto& [id, mount] : mounts_) {
    if (mount.point.size() > nearest->point.size() && path.starts_with(mount.point) &&
        (path.size() == mount.point.size() || path[mount.point.size()] == '/')) {
      return std::nullopt;
    }
  }
  return absolute_path("/", joined(whole(nearest->device)->point,
                                   joined(nearest->root, path.substr(nearest->point.size()))));
}

const MountTable::Mount* MountTable::mount(std::uint64_t id) const {
  auto found = mounts_.find(id);
  return found == mounts_.end() ? nullptr : &found->second;
}

const MountTable::Mount* MountTable::whole(std::uint32_t device) const {
  auto found = whole_.find(device);
  return found == whole_.end() ? nullptr : mount(found->second);
}

}  // namespace trivet::security
