// SPDX-License-Identifier: Apache-2.0
#include "records/segment_file.h"

#include <zstd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <string_view>

#include "broker/wire.h"
#include "records/checksum.h"
#include "trivet/result.h"

namespace trivet {
namespace {

static_assert(std::endian::native == std::endian::little, "files are little endian");

constexpr std::string_view kMagic = "trivseg\n";
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kMaxColumns = 1024;
constexpr std::size_t kMaxName = 128;
// A column of one row with the largest body that tracing keeps, and far more.
constexpr std::size_t kMaxColumnBytes = 256 << 20;
// Of zstd: the fastest one that still finds repeats; the thread that packs has a core to share.
constexpr int kLevel = 1;
// The column of the rows' numbers: no column of a schema is called that.
constexpr std::string_view kNumbers = "#";

// The place in this list is the number of a type in a file.
constexpr std::string_view kTypes[] = {"boolean",  "integer", "number",       "text",  "time",
                                       "duration", "address", "list of text", "fields"};
static_assert(static_cast<int>(ColumnType::boolean) == 0 &&
              static_cast<int>(ColumnType::fields) == std::size(kTypes) - 1);

constexpr std::uint8_t kHasNulls = 1, kHasRange = 2;

Error damaged(const std::string& what) {
  return Error{"it is damaged: " + what, EBADMSG};
}

template <class Number>
void overwrite(std::vector<std::byte>& bytes, std::size_t at, Number number) {
  std::memcpy(bytes.data() + at, &number, sizeof(number));
}

void write(broker::Writer& out, const FileColumn& column) {
  out.text(column.name);
  out.number(static_cast<std::uint8_t>(column.type));
  out.number(static_cast<std::uint8_t>((column.shape.has_nulls ? kHasNulls : 0) |
                                       (column.range ? kHasRange : 0)));
  out.number(column.shape.width);
  out.number(static_cast<std::uint8_t>(column.packing));
  out.number(column.shape.base);
  const auto range = column.range.value_or(Segment::Range{0, 0});
  out.number(range.smallest);
  out.number(range.largest);
  out.number(column.shape.entries);
  out.number(column.shape.heap_bytes);
  out.number(column.offset);
  out.number(column.bytes);
  out.number(column.checksum);
}

std::vector<std::byte> encode_header(const Segment& segment, const BootClock& clock,
                                     const std::vector<FileColumn>& columns) {
  broker::Writer out;
  for (char letter : kMagic) out.number(letter);
  out.number(kFormat);
  out.number(std::uint32_t{0});  // its size and its checksum: see below
  out.number(std::uint64_t{0});
  for (std::byte byte : clock.boot_id) out.number(static_cast<std::uint8_t>(byte));
  out.number(clock.boot_to_real_ns);
  out.text(segment.schema().table);
  out.number(segment.schema().version);
  out.number(static_cast<std::uint32_t>(segment.rows()));
  out.number(segment.number(0));
  out.number(segment.number(segment.rows() - 1));
  out.list(columns, [&](const FileColumn& column) { write(out, column); });
  std::vector<std::byte> header = out.message();
  overwrite(header, 12, static_cast<std::uint32_t>(header.size()));
  overwrite(header, 16, checksum_of(std::span(header).subspan(kPrologueBytes)));
  return header;
}

FileColumn read_column(broker::Reader& in) {
  FileColumn column;
  column.name = in.text(kMaxName);
  column.type = static_cast<ColumnType>(in.number<std::uint8_t>());
  const auto flags = in.number<std::uint8_t>();
  column.shape.has_nulls = (flags & kHasNulls) != 0;
  column.shape.width = in.number<std::uint8_t>();
  column.packing = static_cast<Packing>(in.number<std::uint8_t>());
  column.shape.base = in.number<std::uint64_t>();
  const auto smallest = in.number<std::int64_t>(), largest = in.number<std::int64_t>();
  if (flags & kHasRange) column.range = Segment::Range{smallest, largest};
  column.shape.entries = in.number<std::uint32_t>();
  column.shape.heap_bytes = in.number<std::uint32_t>();
  column.offset = in.number<std::uint64_t>();
  column.bytes = in.number<std::uint32_t>();
  column.checksum = in.number<std::uint64_t>();
  return column;
}

// Whether what the header says of a column can be.
Result<void> judge(const FileColumn& column, std::size_t rows, std::uint64_t bytes) {
  const auto fault = [&](const char* what) {
    return damaged("column " + column.name + " " + what);
  };
  const ColumnShape& shape = column.shape;
  if (static_cast<std::size_t>(column.type) >= std::size(kTypes)) return fault("has no known type");
  if (column.packing > Packing::zstd) return fault("is packed in no known way");
  if (shape.width > 8 || (shape.width != 0 && !std::has_single_bit(shape.width)))
    return fault("has codes of a wrong width");
  if (is_coded(column.type) ? shape.entries == 0 || shape.entries > rows + 1 || shape.has_nulls
                            : shape.entries != 0 || shape.heap_bytes != 0)
    return fault("has a dictionary that cannot be");
  if (shape.bytes(rows) > kMaxColumnBytes) return fault("is too large");
  if (column.offset > bytes || column.bytes > bytes - column.offset) return fault("is cut off");
  if (column.packing == Packing::none && column.bytes != shape.bytes(rows))
    return fault("has another size than its rows");
  return {};
}

// Making one takes longer than unpacking a small column.
ZSTD_DCtx* unpacker() {
  thread_local const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> made(ZSTD_createDCtx(),
                                                                               ZSTD_freeDCtx);
  return made.get();
}

// Whether codes, ends and entries keep within the dictionary.
bool sound_dictionary(const FileColumn& column, std::size_t rows, const std::byte* bytes) {
  const ColumnShape& shape = column.shape;
  std::uint32_t before = 0;
  for (std::size_t i = 0; i < shape.entries; ++i) {
    std::uint32_t end;
    std::memcpy(&end, bytes + i * sizeof(end), sizeof(end));
    if (end < before || end > shape.heap_bytes || (i == 0 && end != 0)) return false;
    const std::uint32_t size = end - before;
    if (i != 0 && column.type == ColumnType::address && size != 4 && size != 16) return false;
    before = end;
  }
  if (before != shape.heap_bytes || shape.base >= shape.entries) return false;
  ColumnView codes;
  codes.width = shape.width;
  codes.codes = bytes + shape.entries * sizeof(std::uint32_t);
  std::uint64_t largest = 0;
  for (std::size_t row = 0; row < rows; ++row) largest = std::max(largest, codes.raw(row));
  return largest < shape.entries - shape.base;
}

}  // namespace

std::array<std::byte, 16> boot_id() {
  static const auto read = [] {
    std::array<std::byte, 16> id{};
    std::string text;
    std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), text);
    std::erase(text, '-');
    for (std::size_t i = 0; i < id.size() && i * 2 + 2 <= text.size(); ++i) {
      unsigned byte = 0;
      std::from_chars(text.data() + i * 2, text.data() + i * 2 + 2, byte, 16);
      id[i] = static_cast<std::byte>(byte);
    }
    return id;
  }();
  return read;
}

std::vector<std::byte> encode_segment(const Segment& segment, const BootClock& clock,
                                      Packing packing) {
  const RecordSchema& schema = segment.schema();
  const std::size_t rows = segment.rows();
  std::vector<FileColumn> columns(schema.columns.size() + 1);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    columns[i].name = i + 1 == columns.size() ? kNumbers : schema.columns[i].name;
    columns[i].type = segment.column(i).type;
    columns[i].shape = segment.complete_column(i)->shape;
    columns[i].range = segment.complete_column(i)->range;
  }
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> packer(ZSTD_createCCtx(),
                                                                    ZSTD_freeCCtx);
  // What is behind the header decides on its content, but not on its size.
  const std::size_t header = encode_header(segment, clock, columns).size();
  std::vector<std::byte> file(header);
  file.reserve(header + segment.bytes());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    FileColumn& column = columns[i];
    const std::byte* const bytes = segment.complete_column(i)->bytes.get();
    const std::size_t size = column.shape.bytes(rows), at = file.size();
    std::size_t packed = size;
    if (packing == Packing::zstd) {
      file.resize(at + ZSTD_compressBound(size));
      packed =
          ZSTD_compressCCtx(packer.get(), file.data() + at, file.size() - at, bytes, size, kLevel);
    }
    if (!ZSTD_isError(packed) && packed < size) {
      column.packing = Packing::zstd;
      file.resize(at + packed);
    } else {
      file.resize(at);
      file.insert(file.end(), bytes, bytes + size);
    }
    column.offset = at - header;
    column.bytes = static_cast<std::uint32_t>(file.size() - at);
    column.checksum = checksum_of(std::span(file).subspan(at));
  }
  std::ranges::copy(encode_header(segment, clock, columns), file.begin());
  return file;
}

Result<std::size_t> header_bytes(std::span<const std::byte> prologue) {
  if (prologue.size() < kPrologueBytes) return damaged("it ends in its header");
  if (std::memcmp(prologue.data(), kMagic.data(), kMagic.size()) != 0)
    return damaged("it does not begin as a segment does");
  std::uint32_t format, bytes;
  std::memcpy(&format, prologue.data() + 8, sizeof(format));
  std::memcpy(&bytes, prologue.data() + 12, sizeof(bytes));
  if (format != kFormat) {
    return Error{"it has format " + std::to_string(format) + ", this trivet reads " +
                     std::to_string(kFormat),
                 EPROTONOSUPPORT};
  }
  if (bytes < kPrologueBytes || bytes > kMaxHeaderBytes) return damaged("its header is too large");
  return bytes;
}

Result<FileHeader> decode_header(std::span<const std::byte> bytes, std::uint64_t file_bytes) {
  const auto size = header_bytes(bytes);
  if (!size) return size.error();
  if (bytes.size() != *size || file_bytes < *size) return damaged("it ends in its header");
  FileHeader header;
  header.bytes = static_cast<std::uint32_t>(*size);
  std::memcpy(&header.checksum, bytes.data() + 16, sizeof(header.checksum));
  bytes = bytes.subspan(kPrologueBytes);
  if (checksum_of(bytes) != header.checksum) return damaged("the header's checksum is wrong");

  broker::Reader in(bytes);
  for (auto& byte : header.clock.boot_id) byte = std::byte{in.number<std::uint8_t>()};
  header.clock.boot_to_real_ns = in.number<std::int64_t>();
  header.table = in.text(kMaxName);
  header.schema_version = in.number<std::uint32_t>();
  header.rows = in.number<std::uint32_t>();
  header.first_number = in.number<std::uint64_t>();
  header.last_number = in.number<std::uint64_t>();
  in.list(kMaxColumns, [&] { header.columns.push_back(read_column(in)); });
  if (!in.complete() || header.columns.empty() || header.rows == 0 ||
      header.rows > Segment::kMaxRows || header.first_number > header.last_number) {
    return damaged("the header contradicts itself");
  }
  for (const auto& column : header.columns) {
    if (auto judged = judge(column, header.rows, file_bytes - header.bytes); !judged)
      return judged.error();
  }
  return header;
}

Result<Segment::CompleteColumn> decode_column(const FileColumn& column, std::size_t rows,
                                              std::span<const std::byte> bytes) {
  const std::size_t size = column.shape.bytes(rows);
  if (bytes.size() != column.bytes || checksum_of(bytes) != column.checksum)
    return damaged("column " + column.name + " has a wrong checksum");
  // Before the memory for it is taken.
  if (column.packing == Packing::zstd &&
      ZSTD_getFrameContentSize(bytes.data(), bytes.size()) != size) {
    return damaged("column " + column.name + " cannot be unpacked");
  }
  Segment::CompleteColumn made{column.shape, column.range,
                               std::make_unique_for_overwrite<std::byte[]>(size)};
  if (column.packing == Packing::none) {
    std::copy(bytes.begin(), bytes.end(), made.bytes.get());
  } else if (ZSTD_decompressDCtx(unpacker(), made.bytes.get(), size, bytes.data(), bytes.size()) !=
             size) {
    return damaged("column " + column.name + " cannot be unpacked");
  }
  if (is_coded(column.type) && !sound_dictionary(column, rows, made.bytes.get()))
    return damaged("column " + column.name + " names entries that are not there");
  return made;
}

Result<std::vector<const FileColumn*>> match_columns(const FileHeader& header,
                                                     const RecordSchema& schema) {
  if (header.table != schema.table) return damaged("it holds rows of " + header.table);
  if (header.schema_version != schema.version) {
    return Error{"it holds version " + std::to_string(header.schema_version) + " of " +
                     header.table + ", this trivet has version " + std::to_string(schema.version),
                 EPROTONOSUPPORT};
  }
  std::vector<const FileColumn*> matched;
  const auto add = [&](std::string_view name, ColumnType type) -> Result<void> {
    const auto found = std::ranges::find(header.columns, name, &FileColumn::name);
    if (found != header.columns.end() && found->type != type) {
      const auto types = [](ColumnType t) {
        return std::string(kTypes[static_cast<std::size_t>(t)]);
      };
      return Error{"its column " + std::string(name) + " is " + types(found->type) +
                       ", this trivet's is " + types(type),
                   EPROTONOSUPPORT};
    }
    matched.push_back(found == header.columns.end() ? nullptr : &*found);
    return {};
  };
  for (const auto& column : schema.columns) {
    if (auto added = add(column.name, column.type); !added) return added.error();
  }
  if (auto added = add(kNumbers, ColumnType::integer); !added) return added.error();
  return matched;
}

std::uint64_t shift_to(const BootClock& now, const BootClock& then) {
  if (now.boot_id == then.boot_id) return 0;
  return static_cast<std::uint64_t>(then.boot_to_real_ns) -
         static_cast<std::uint64_t>(now.boot_to_real_ns);
}

}  // namespace trivet
