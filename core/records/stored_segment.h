// SPDX-License-Identifier: Apache-2.0
// A sealed segment in a file of the spill folder, and the folder. A file's name tells its table and
// rows; the rest is read when a query asks for it, column by column. All thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/unique_fd.h"
#include "records/segment_file.h"
#include "trivet/log.h"

namespace trivet {

// What is in it is reached by name alone, and links are not followed. While one of these is there,
// no other process can have one of the same folder.
class SpillFolder {
 public:
  struct File {
    std::string name;
    std::uint64_t bytes;
    std::int64_t written_s;  // since 1970
  };

  // `descriptor` is of a folder, open for reading. Fails if another process uses it. The log must
  // outlive the folder.
  static Result<std::shared_ptr<SpillFolder>> open(UniqueFd descriptor, Log& log);

  // All files; what is not a regular one has the name "".
  Result<std::vector<File>> list() const;
  Result<UniqueFd> read(const std::string& name) const;
  // Whole or not at all, and lasting once this has returned.
  Result<void> write(const std::string& name, std::span<const std::byte> bytes) const;
  void remove(const std::string& name) const;
  // Removes what a write() left behind whose process was killed; whether that is what it is.
  bool remove_unfinished(const std::string& name) const;

  // Counts a file that cannot be used, and says why of the first few.
  void refuse(const std::string& name, const Error& why);
  std::uint64_t refused() const { return refused_; }

 private:
  SpillFolder(UniqueFd descriptor, Log& log) : descriptor_(std::move(descriptor)), log_(log) {}
  const UniqueFd descriptor_;
  Log& log_;
  std::atomic<std::uint64_t> refused_ = 0;
};

class StoredSegment {
 public:
  // "http_requests-0000000000000000042-0000000000000003166-3125.segment": the numbers of its first
  // and last row, and how many rows there are.
  struct Name {
    std::string table;
    std::uint64_t first, last;
    std::uint32_t rows;

    std::string to_string() const;
    // None if that is no segment's name.
    static std::optional<Name> parse(std::string_view text);
  };
  // What the header tells of the schema's columns.
  struct Description {
    struct Facts {
      std::optional<Segment::Range> range;  // times as of this boot
      std::uint64_t entries = 1;            // as Segment::entries()
      std::size_t bytes = 0;                // of memory once loaded
    };
    std::vector<Facts> columns;
  };

  StoredSegment(std::shared_ptr<SpillFolder> folder, Name name, std::uint64_t bytes,
                std::int64_t written_s);
  ~StoredSegment();
  StoredSegment(const StoredSegment&) = delete;

  const Name& name() const { return name_; }
  std::uint64_t bytes() const { return bytes_; }
  std::int64_t written_s() const { return written_s_; }

  // Whether the header is in order, as far as that can be told without a schema.
  bool check() const;
  // None if the file cannot be read or is not what its name says; the folder has said so.
  std::optional<Description> describe(const RecordSchema& schema, const BootClock& now) const;
  // A segment with these columns of the schema, the others as if they were not there. nullptr as
  // above. Costs as much memory as describe() tells, and as much again for the largest one.
  std::shared_ptr<const Segment> load(const RecordSchema& schema, const BootClock& now,
                                      std::span<const std::size_t> columns) const;
  // The file goes once nobody has this segment any more.
  void remove_when_unused() { removed_ = true; }

 private:
  struct Opened;
  Result<Opened> open() const;
  std::optional<Opened> open_as(const RecordSchema& schema) const;
  // Makes an error known, and has it stay where trying again would not help.
  void refuse(const Error& why) const;

  const std::shared_ptr<SpillFolder> folder_;
  const Name name_;
  const std::uint64_t bytes_;
  const std::int64_t written_s_;
  std::atomic<bool> removed_ = false;
  mutable std::atomic<bool> unusable_ = false;
  mutable std::atomic<std::uint64_t> identity_ = 0;  // the header's checksum once it was read
};

// A part of a table: in memory, or in a file.
struct TablePart {
  std::shared_ptr<const Segment> segment;
  std::shared_ptr<const StoredSegment> stored;
};

}  // namespace trivet
