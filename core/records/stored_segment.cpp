// SPDX-License-Identifier: Apache-2.0
#include "records/stored_segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>

namespace trivet {
namespace {

constexpr std::string_view kSuffix = ".segment";
constexpr std::string_view kUnfinished = ".new";
constexpr std::size_t kDigits = 19;  // of a row's number
constexpr std::size_t kMaxTable = 64;
// Of files that cannot be used: enough to see what happened.
constexpr std::uint64_t kSaid = 8;
// Most headers are shorter.
constexpr std::size_t kFirstRead = 16 << 10;

Result<void> read_all(int fd, std::uint64_t offset, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const auto got = ::pread(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "it cannot be read");
    if (got == 0) return Error{"it is damaged: it is cut off", EBADMSG};
    offset += static_cast<std::uint64_t>(got);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<void> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_error(errno, "it cannot be written");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

bool is_table_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxTable && std::ranges::all_of(name, [](char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '_';
  });
}

// The number behind the last '-' of `text`, which is then cut off.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  const auto dash = text.rfind('-');
  if (dash == text.npos) return std::nullopt;
  std::uint64_t number = 0;
  const auto read = std::from_chars(text.data() + dash + 1, text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  text = text.substr(0, dash);
  return number;
}

// A column of times, from one boot to another.
FileColumn moved(FileColumn column, std::uint64_t shift) {
  if (column.type != ColumnType::time) return column;
  column.shape.base += shift;
  const auto by = static_cast<std::int64_t>(shift);
  if (column.range &&
      (__builtin_add_overflow(column.range->smallest, by, &column.range->smallest) ||
       __builtin_add_overflow(column.range->largest, by, &column.range->largest))) {
    column.range.reset();
  }
  return column;
}

std::string padded(std::uint64_t number) {
  std::string digits = std::to_string(number);
  return std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

}  // namespace

Result<std::shared_ptr<SpillFolder>> SpillFolder::open(UniqueFd descriptor, Log& log) {
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return Error{"records.spill is in use by another trivet: stop it or name another folder",
                   EBUSY};
    }
    return system_error(errno, "cannot lock the folder of records.spill");
  }
  return std::shared_ptr<SpillFolder>(new SpillFolder(std::move(descriptor), log));
}

Result<std::vector<SpillFolder::File>> SpillFolder::list() const {
  // A descriptor of its own, since reading moves it.
  UniqueFd copy(::openat(descriptor_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!copy) return system_error(errno, "cannot read the folder of records.spill");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy.get()), ::closedir);
  if (!stream) return system_error(errno, "cannot read the folder of records.spill");
  copy.release();
  std::vector<File> files;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat status {};
    const bool regular =
        ::fstatat(descriptor_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(status.st_mode);
    files.push_back(
        {regular ? name : "", static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec});
  }
  return files;
}

Result<UniqueFd> SpillFolder::read(const std::string& name) const {
  // Without waiting: a pipe may have come to have that name.
  UniqueFd file(
      ::openat(descriptor_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return system_error(errno, "it cannot be opened");
  return file;
}

Result<void> SpillFolder::write(const std::string& name, std::span<const std::byte> bytes) const {
  const std::string unfinished = name + std::string(kUnfinished);
  UniqueFd file(::openat(descriptor_.get(), unfinished.c_str(),
                         O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!file) return system_error(errno, "it cannot be made");
  auto written = write_all(file.get(), bytes);
  if (written && ::fsync(file.get()) != 0) written = system_error(errno, "it cannot be written");
  if (written &&
      ::renameat(descriptor_.get(), unfinished.c_str(), descriptor_.get(), name.c_str()) != 0) {
    written = system_error(errno, "it cannot be named");
  }
  if (!written) {
    ::unlinkat(descriptor_.get(), unfinished.c_str(), 0);
    return written;
  }
  if (::fsync(descriptor_.get()) != 0) {
    written = system_error(errno, "it would not last");
    remove(name);
  }
  return written;
}

void SpillFolder::remove(const std::string& name) const {
  ::unlinkat(descriptor_.get(), name.c_str(), 0);
}

bool SpillFolder::remove_unfinished(const std::string& name) const {
  const std::string_view text = name;
  if (!text.ends_with(kUnfinished)) return false;
  if (!StoredSegment::Name::parse(text.substr(0, text.size() - kUnfinished.size()))) return false;
  remove(name);
  return true;
}

void SpillFolder::refuse(const std::string& name, const Error& why) {
  const auto before = refused_.fetch_add(1);
  if (before < kSaid) {
    log_.warning("stored segment " + name + " is left out: " + why.message);
  } else if (before == kSaid) {
    log_.warning("more stored segments are left out; trivet_spill_refused_segments_total counts");
  }
}

std::string StoredSegment::Name::to_string() const {
  return table + '-' + padded(first) + '-' + padded(last) + '-' + std::to_string(rows) +
         std::string(kSuffix);
}

std::optional<StoredSegment::Name> StoredSegment::Name::parse(std::string_view text) {
  if (!text.ends_with(kSuffix)) return std::nullopt;
  std::string_view rest = text.substr(0, text.size() - kSuffix.size());
  const auto rows = take_number(rest), last = take_number(rest), first = take_number(rest);
  if (!rows || !last || !first || *rows == 0 || *rows > Segment::kMaxRows || *first > *last ||
      !is_table_name(rest)) {
    return std::nullopt;
  }
  Name name{std::string(rest), *first, *last, static_cast<std::uint32_t>(*rows)};
  // One spelling only: no segment is there twice.
  if (name.to_string() != text || text.size() > NAME_MAX - kUnfinished.size()) return std::nullopt;
  return name;
}

StoredSegment::StoredSegment(std::shared_ptr<SpillFolder> folder, Name name, std::uint64_t bytes,
                             std::int64_t written_s)
    : folder_(std::move(folder)), name_(std::move(name)), bytes_(bytes), written_s_(written_s) {}

StoredSegment::~StoredSegment() {
  if (removed_) folder_->remove(name_.to_string());
}

struct StoredSegment::Opened {
  UniqueFd file;
  FileHeader header;
  std::vector<const FileColumn*> columns;  // of the header, by the schema's
};

Result<StoredSegment::Opened> StoredSegment::open() const {
  auto file = folder_->read(name_.to_string());
  if (!file) return file.error();
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return system_error(errno, "it cannot be read");
  if (!S_ISREG(status.st_mode)) return Error{"it is no regular file", EBADMSG};
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  std::vector<std::byte> bytes(std::min<std::uint64_t>(kFirstRead, file_bytes));
  if (auto read = read_all(file->get(), 0, bytes); !read) return read.error();
  const auto size = header_bytes(bytes);
  if (!size) return size.error();
  const std::size_t begun = bytes.size();
  bytes.resize(std::min<std::uint64_t>(*size, file_bytes));
  if (bytes.size() > begun) {
    if (auto read = read_all(file->get(), begun, std::span(bytes).subspan(begun)); !read)
      return read.error();
  }
  auto header = decode_header(bytes, file_bytes);
  if (!header) return header.error();
  if (header->table != name_.table || header->rows != name_.rows ||
      header->first_number != name_.first || header->last_number != name_.last) {
    return Error{"it is damaged: its name and its header differ", EBADMSG};
  }
  // Whoever has looked at a segment once sees the same one again.
  std::uint64_t known = 0;
  if (!identity_.compare_exchange_strong(known, header->checksum) && known != header->checksum)
    return Error{"it has been exchanged", EBADMSG};
  return Opened{std::move(*file), std::move(*header), {}};
}

void StoredSegment::refuse(const Error& why) const {
  if (why.code == EMFILE || why.code == ENFILE || why.code == ENOMEM) {
    folder_->refuse(name_.to_string(), why);
  } else if (!unusable_.exchange(true)) {
    folder_->refuse(name_.to_string(), why);
  }
}

bool StoredSegment::check() const {
  if (unusable_) return false;
  if (auto opened = open(); !opened) refuse(opened.error());
  return !unusable_;
}

std::optional<StoredSegment::Opened> StoredSegment::open_as(const RecordSchema& schema) const {
  if (unusable_) return std::nullopt;
  auto opened = open();
  if (!opened) return refuse(opened.error()), std::nullopt;
  auto matched = match_columns(opened->header, schema);
  if (!matched) return refuse(matched.error()), std::nullopt;
  opened->columns = std::move(*matched);
  return std::move(*opened);
}

std::optional<StoredSegment::Description> StoredSegment::describe(const RecordSchema& schema,
                                                                  const BootClock& now) const {
  const auto opened = open_as(schema);
  if (!opened) return std::nullopt;
  Description description;
  for (const FileColumn* column : opened->columns) {
    auto& facts = description.columns.emplace_back();
    if (!column) continue;
    facts.entries = column->shape.entries;
    facts.bytes = column->shape.bytes(name_.rows);
    facts.range = moved(*column, shift_to(now, opened->header.clock)).range;
  }
  return description;
}

std::shared_ptr<const Segment> StoredSegment::load(const RecordSchema& schema, const BootClock& now,
                                                   std::span<const std::size_t> columns) const {
  const auto opened = open_as(schema);
  if (!opened) return nullptr;
  std::vector<Segment::CompleteColumn> made(opened->columns.size());
  std::vector<std::byte> bytes;
  for (const std::size_t number : columns) {
    if (!opened->columns[number]) continue;
    const FileColumn column = moved(*opened->columns[number], shift_to(now, opened->header.clock));
    bytes.resize(column.bytes);
    if (auto read = read_all(opened->file.get(), opened->header.bytes + column.offset, bytes);
        !read) {
      return refuse(read.error()), nullptr;
    }
    auto decoded = decode_column(column, name_.rows, bytes);
    if (!decoded) return refuse(decoded.error()), nullptr;
    made[number] = std::move(*decoded);
  }
  return Segment::complete(schema, name_.rows, std::move(made));
}

}  // namespace trivet
