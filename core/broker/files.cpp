// SPDX-License-Identifier: Apache-2.0
#include "broker/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <deque>
#include <memory>

namespace trivet::broker {
namespace {

// As the kernel allows.
constexpr int max_links = 40;
constexpr std::size_t max_components = 256;
constexpr std::size_t max_names = 1024;

// Puts the components of `path` in front of `rest`, so that what a link says comes next.
void prepend_components(std::string_view path, std::deque<std::string>& rest) {
  std::deque<std::string> parts;
  while (!path.empty()) {
    std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (!part.empty() && part != ".") parts.emplace_back(part);
  }
  rest.insert(rest.begin(), parts.begin(), parts.end());
}

// Opens what an O_PATH descriptor stands for, not what may by now have its name.
UniqueFd reopen(int fd, int flags) {
  std::string self = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(self.c_str(), flags | O_CLOEXEC));
}

}  // namespace

std::vector<uid_t> trusted_owners(bool build_tree) {
  std::vector<uid_t> owners{0};
  const char* sudo = build_tree ? std::getenv("SUDO_UID") : nullptr;
  if (!sudo || *sudo < '0' || *sudo > '9') return owners;
  char* end = nullptr;
  errno = 0;
  unsigned long uid = std::strtoul(sudo, &end, 10);
  if (errno == 0 && *end == '\0' && uid < UINT_MAX) owners.push_back(static_cast<uid_t>(uid));
  return owners;
}

bool TrustedFiles::trusted(uid_t owner) const {
  return std::find(owners_.begin(), owners_.end(), owner) != owners_.end();
}

Result<void> TrustedFiles::judge(int fd, const std::string& path, bool is_parent) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error(errno, "cannot examine " + path);
  if (!trusted(status.st_uid)) {
    return Error{path + " belongs to user " + std::to_string(status.st_uid) +
                     ", who could have it run as root: chown root " + path,
                 EPERM};
  }
  bool shared = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  bool sticky_of_root = (status.st_mode & S_ISVTX) != 0 && status.st_uid == 0;
  if (shared && !(is_parent && sticky_of_root)) {
    return Error{path + " can be written by its group or by others: chmod go-w " + path, EPERM};
  }
  if (status.st_uid != 0 && warn_) {
    warn_(path + " belongs to user " + std::to_string(status.st_uid) +
          ", whom trivet trusts like root because it runs from a build tree");
    warn_ = nullptr;
  }
  return {};
}

Result<UniqueFd> TrustedFiles::walk(const std::string& path) {
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) {
    return Error{"\"" + path + "\" is not an absolute path", EINVAL};
  }
  std::deque<std::string> rest;
  prepend_components(path, rest);
  UniqueFd at(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::string so_far;
  if (auto judged = judge(at.get(), "/", true); !judged) return std::move(judged).error();
  int links = 0;
  while (!rest.empty()) {
    std::string name = std::move(rest.front());
    rest.pop_front();
    if (rest.size() > max_components) return system_error(ENAMETOOLONG, "cannot open " + path);
    UniqueFd next(::openat(at.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    std::string here = so_far + "/" + name;
    if (!next) return system_error(errno, "cannot open " + path);
    struct stat status {};
    if (::fstat(next.get(), &status) != 0) return system_error(errno, "cannot open " + path);
    if (S_ISLNK(status.st_mode)) {
      if (rest.empty()) {
        return Error{path + " is a symbolic link: name the file that it stands for", ELOOP};
      }
      if (!trusted(status.st_uid)) {
        return Error{here + " is a symbolic link of user " + std::to_string(status.st_uid) +
                         ": name the file that it leads to",
                     EPERM};
      }
      std::array<char, PATH_MAX> target{};
      ssize_t size = ::readlinkat(next.get(), "", target.data(), target.size());
      if (size <= 0 || ++links > max_links) return system_error(ELOOP, "cannot open " + path);
      if (target[0] == '/') {
        at.reset(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
        so_far.clear();
      }
      prepend_components({target.data(), static_cast<std::size_t>(size)}, rest);
      continue;
    }
    if (auto judged = judge(next.get(), here, !rest.empty()); !judged) {
      return std::move(judged).error();
    }
    at = std::move(next);
    so_far = std::move(here);
  }
  return at;
}

Result<UniqueFd> TrustedFiles::open_file(const std::string& path) {
  auto found = walk(path);
  if (!found) return found;
  struct stat status {};
  if (::fstat(found->get(), &status) != 0) return system_error(errno, "cannot open " + path);
  if (S_ISDIR(status.st_mode)) return Error{path + " is a folder", EISDIR};
  if (!S_ISREG(status.st_mode)) return Error{path + " is not a regular file", EINVAL};
  UniqueFd file = reopen(found->get(), O_RDONLY);
  if (!file) return system_error(errno, "cannot open " + path);
  return file;
}

Result<UniqueFd> TrustedFiles::open_folder(const std::string& path) {
  auto found = walk(path);
  if (!found) return found;
  struct stat status {};
  if (::fstat(found->get(), &status) != 0) return system_error(errno, "cannot open " + path);
  if (!S_ISDIR(status.st_mode)) return Error{path + " is not a folder", ENOTDIR};
  return found;
}

Result<std::vector<std::string>> TrustedFiles::list_folder(const std::string& path) {
  auto found = walk(path);
  if (!found) return std::move(found).error();
  UniqueFd folder = reopen(found->get(), O_RDONLY | O_DIRECTORY);
  if (!folder) return system_error(errno, "cannot read folder " + path);
  std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(folder.get()), ::closedir);
  if (!stream) return system_error(errno, "cannot read folder " + path);
  folder.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (entry->d_name[0] == '.') continue;
    if (names.size() == max_names) {
      return Error{"folder " + path + " holds more than 1024 files", E2BIG};
    }
    names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace trivet::broker
