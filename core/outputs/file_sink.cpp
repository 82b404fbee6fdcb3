// SPDX-License-Identifier: Apache-2.0
#include "outputs/file_sink.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace trivet {
namespace {

constexpr std::size_t kMaxWriteBytes = 1 << 20;

}  // namespace

Result<void> FileSink::check() const {
  struct stat named {};
  const bool there = fstatat(folder_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0;
  if (there && !S_ISREG(named.st_mode)) return Error{name_ + " is not a regular file", EINVAL};
  if (faccessat(folder_.get(), there ? name_.c_str() : ".", W_OK, AT_EACCESS) != 0)
    return system_error(errno, "cannot write " + name_);
  return {};
}

Result<void> FileSink::open() {
  struct stat held {};
  struct stat named {};
  if (file_ && fstat(file_.get(), &held) == 0 &&
      fstatat(folder_.get(), name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
      held.st_dev == named.st_dev && held.st_ino == named.st_ino)
    return {};
  // Without waiting for a reader, should it be a pipe.
  UniqueFd file(openat(folder_.get(), name_.c_str(),
                       O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640));
  if (!file) return system_error(errno, "cannot open " + name_);
  if (fstat(file.get(), &held) != 0 || !S_ISREG(held.st_mode))
    return Error{name_ + " is not a regular file", EINVAL};
  file_ = std::move(file);
  return {};
}

// NAME becomes NAME.1, NAME.1 becomes NAME.2 and so on; the last one goes.
void FileSink::rotate() {
  const auto older = [this](std::uint64_t age) {
    return age == 0 ? name_ : name_ + '.' + std::to_string(age);
  };
  if (keep_ == 0) (void)unlinkat(folder_.get(), name_.c_str(), 0);
  for (std::uint64_t age = keep_; age > 0; --age)
    (void)renameat(folder_.get(), older(age - 1).c_str(), folder_.get(), older(age).c_str());
  file_.reset();
}

Result<void> FileSink::deliver(Lines& lines) {
  if (auto opened = open(); !opened) return opened;
  while (!lines.empty()) {
    struct stat status {};
    if (fstat(file_.get(), &status) != 0) return system_error(errno, "cannot examine " + name_);
    const auto size = static_cast<std::uint64_t>(status.st_size);
    std::string text;
    std::size_t count = 0;
    for (const auto& line : lines) {
      const std::uint64_t with = size + text.size() + line.text.size() + 1;
      const bool full = max_bytes_ != 0 && with > max_bytes_ && (size != 0 || count != 0);
      if (full || text.size() >= kMaxWriteBytes) break;
      text += line.text + '\n';
      ++count;
    }
    if (count == 0) {
      rotate();
      if (auto opened = open(); !opened) return opened;
      continue;
    }
    const ssize_t written = write(file_.get(), text.data(), text.size());
    if (written != static_cast<ssize_t>(text.size())) {
      const int error = written < 0 ? errno : ENOSPC;
      // Half a line helps nobody, and all of them come again.
      if (written > 0) (void)!ftruncate(file_.get(), status.st_size);
      return system_error(error, "cannot write " + name_);
    }
    lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(count));
    counts_.delivered += count;
  }
  return {};
}

}  // namespace trivet
