// SPDX-License-Identifier: Apache-2.0
#include "outputs/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace trivet {
namespace {

constexpr std::string_view kEnd = ".batch";
constexpr const char* kUnfinished = "unfinished";
constexpr std::size_t kNumberDigits = 19;

bool read_number(std::string_view text, std::uint64_t& value) {
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return !text.empty() && read.ec == std::errc() && read.ptr == end;
}

}  // namespace

bool Spool::parse(std::string_view name, Batch& batch) {
  if (!name.ends_with(kEnd) || name.size() <= kNumberDigits || name[kNumberDigits] != '-')
    return false;
  const auto records =
      name.substr(kNumberDigits + 1, name.size() - kNumberDigits - 1 - kEnd.size());
  return read_number(name.substr(0, kNumberDigits), batch.number) &&
         read_number(records, batch.records);
}

std::string Spool::name(const Batch& batch) {
  const std::string digits = std::to_string(batch.number);
  return std::string(kNumberDigits - std::min(kNumberDigits, digits.size()), '0') + digits + '-' +
         std::to_string(batch.records) + std::string(kEnd);
}

Result<std::unique_ptr<Spool>> Spool::open(UniqueFd folder, std::uint64_t max_bytes) {
  std::unique_ptr<Spool> spool(new Spool(std::move(folder), max_bytes));
  if (auto taken = spool->take_over(); !taken) return std::move(taken).error();
  return spool;
}

Result<void> Spool::take_over() {
  if (flock(folder_.get(), LOCK_EX | LOCK_NB) != 0)
    return system_error(errno, "the spool is in use by another output or trivet");
  (void)unlinkat(folder_.get(), kUnfinished, 0);
  const int copy = openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::unique_ptr<DIR, int (*)(DIR*)> names(copy < 0 ? nullptr : fdopendir(copy), closedir);
  if (!names) return system_error(errno, "cannot read the spool");
  while (const dirent* entry = readdir(names.get())) {
    Batch batch;
    struct stat status {};
    if (!parse(entry->d_name, batch) ||
        fstatat(folder_.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode) || name(batch) != entry->d_name)
      continue;
    batch.bytes = static_cast<std::uint64_t>(status.st_size);
    bytes_ += batch.bytes;
    batches_.push_back(batch);
  }
  std::ranges::sort(batches_, {}, &Batch::number);
  if (!batches_.empty()) last_number_ = batches_.back().number;
  make_room(0);
  return {};
}

void Spool::make_room(std::uint64_t bytes) {
  while (!batches_.empty() && bytes_ + bytes > max_bytes_) {
    lost_ += batches_.front().records;
    pop();
  }
}

Result<void> Spool::push(std::string_view lines, std::uint64_t records) {
  if (lines.size() > max_bytes_) {
    lost_ += records;
    return {};
  }
  make_room(lines.size());
  const auto failed = [this](int error) {
    (void)unlinkat(folder_.get(), kUnfinished, 0);
    return system_error(error, "cannot write the spool");
  };
  const UniqueFd file(openat(folder_.get(), kUnfinished,
                             O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failed(errno);
  for (std::string_view left = lines; !left.empty();) {
    const ssize_t written = write(file.get(), left.data(), left.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failed(written < 0 ? errno : ENOSPC);
    left.remove_prefix(static_cast<std::size_t>(written));
  }
  if (fdatasync(file.get()) != 0) return failed(errno);
  const Batch batch{++last_number_, records, lines.size()};
  if (renameat(folder_.get(), kUnfinished, folder_.get(), name(batch).c_str()) != 0 ||
      fsync(folder_.get()) != 0)
    return failed(errno);
  batches_.push_back(batch);
  bytes_ += batch.bytes;
  return {};
}

Result<std::string> Spool::front() const {
  const Batch& batch = batches_.front();
  const UniqueFd file(
      openat(folder_.get(), name(batch).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return system_error(errno, "cannot read " + name(batch));
  std::string text(batch.bytes, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t size = read(file.get(), text.data() + filled, text.size() - filled);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Error{name(batch) + " cannot be read or is too short", EIO};
    filled += static_cast<std::size_t>(size);
  }
  return text;
}

void Spool::pop() {
  (void)unlinkat(folder_.get(), name(batches_.front()).c_str(), 0);
  bytes_ -= batches_.front().bytes;
  batches_.pop_front();
}

}  // namespace trivet
