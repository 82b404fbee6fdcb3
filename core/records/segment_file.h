// SPDX-License-Identifier: Apache-2.0
// A complete segment as the bytes of a file, and back: docs/records.md has the format. What is read
// may be anything; whatever passes is safe to query. The only user of zstd and xxHash. Pure; any
// thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "records/segment.h"
#include "trivet/record.h"
#include "trivet/result.h"

namespace trivet {

// What turns times since boot into moments: of another boot they mean something else.
struct BootClock {
  std::array<std::byte, 16> boot_id{};  // /proc/sys/kernel/random/boot_id
  std::int64_t boot_to_real_ns = 0;     // as Origin's
};

// The same for the running kernel; zeros where it does not tell. Read once.
std::array<std::byte, 16> boot_id();

// How the bytes of a column lie in a file.
enum class Packing : std::uint8_t { none = 0, zstd = 1 };

// One column in a file, as the header tells.
struct FileColumn {
  std::string name;
  ColumnType type = ColumnType::integer;
  ColumnShape shape;
  std::optional<Segment::Range> range;
  Packing packing = Packing::none;
  std::uint64_t offset = 0;  // behind the header
  std::uint32_t bytes = 0;   // there
  std::uint64_t checksum = 0;
};

struct FileHeader {
  std::uint32_t bytes = 0;  // of the header itself
  BootClock clock;          // when the file was written
  std::string table;
  std::uint32_t schema_version = 0;
  std::uint32_t rows = 0;
  std::uint64_t first_number = 0, last_number = 0;  // of the rows, over all tables
  std::vector<FileColumn> columns;                  // the last holds the rows' numbers
  std::uint64_t checksum = 0;                       // of all that, the columns' own included
};

// The first bytes of a file tell how long its header is.
inline constexpr std::size_t kPrologueBytes = 24;
inline constexpr std::size_t kMaxHeaderBytes = 256 << 10;

// The whole file. The segment must be complete and have rows. Columns are packed with zstd where
// that makes them smaller, unless `packing` is none.
std::vector<std::byte> encode_segment(const Segment& segment, const BootClock& clock,
                                      Packing packing = Packing::zstd);

// Bytes of the header, prologue included. Errors say what is wrong with the file.
Result<std::size_t> header_bytes(std::span<const std::byte> prologue);
// From exactly that many bytes, of a file of `file_bytes`.
Result<FileHeader> decode_header(std::span<const std::byte> bytes, std::uint64_t file_bytes);
// From the bytes at the column's place.
Result<Segment::CompleteColumn> decode_column(const FileColumn& column, std::size_t rows,
                                              std::span<const std::byte> bytes);

// By the schema's column, and behind them for the rows' numbers: the file's column of that name,
// nullptr where the file is older than the column. Another version of the schema or another type of
// a column is an error: values would be taken for what they are not.
Result<std::vector<const FileColumn*>> match_columns(const FileHeader& header,
                                                     const RecordSchema& schema);

// What a time of the file must be moved by to be one of this boot. Wraps.
std::uint64_t shift_to(const BootClock& now, const BootClock& then);

}  // namespace trivet
