// SPDX-License-Identifier: Apache-2.0
// A stored segment from the disk: whatever the file holds, it is refused, or its rows can be made
// again and asked for. Checksums keep accidents out, not whoever knows them: so each input is tried
// as it is and with its checksums put right.
#include <fcntl.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "broker/wire.h"
#include "every_type.h"
#include "query/engine.h"
#include "records/format.h"
#include "records/spill.h"

using namespace trivet;
namespace fs = std::filesystem;

namespace {

using Bytes = std::vector<std::byte>;

const BootClock kNow{boot_id(), 1'700'000'000'000'000'000};

struct Silent final : Log {
  void write(LogLevel, std::string_view, const Values&) override {}
};

struct Ignored final : RowSink {
  bool columns(const std::vector<std::string>&) override { return true; }
  bool row(std::span<const Cell>) override { return true; }
};

void put_checksum(Bytes& file, std::size_t at, std::span<const std::byte> of) {
  const std::uint64_t checksum = XXH3_64bits(of.data(), of.size());
  std::memcpy(file.data() + at, &checksum, sizeof(checksum));
}

// The header ends with its columns, each a name and a fixed part that ends with offset, bytes and
// checksum: docs/records.md.
void put_checksums_right(Bytes& file) {
  constexpr std::size_t kBeforeTable = 48, kBetween = 24, kFixed = 56;
  std::uint32_t header = 0, count = 0;
  const auto word = [&](std::size_t at, auto& number) {
    if (at > header || sizeof(number) > header - at) return false;
    std::memcpy(&number, file.data() + at, sizeof(number));
    return true;
  };
  if (file.size() < kPrologueBytes) return;
  std::memcpy(&header, file.data() + 12, sizeof(header));
  if (header < kPrologueBytes || header > file.size()) return;
  std::uint32_t text = 0;
  if (!word(kBeforeTable, text)) return;
  std::size_t at = kBeforeTable + sizeof(text) + text + kBetween;
  if (!word(at, count)) return;
  at += sizeof(count);
  for (; count > 0 && word(at, text); --count) {
    at += sizeof(text) + text + kFixed;
    std::uint64_t offset = 0, checksum = 0;
    std::uint32_t bytes = 0;
    if (at > header || !word(at - 20, offset) || !word(at - 12, bytes) || !word(at - 8, checksum))
      break;
    if (offset > file.size() - header || bytes > file.size() - header - offset) continue;
    put_checksum(file, at - 8, std::span(file).subspan(header + offset, bytes));
  }
  put_checksum(file, 16, std::span(file).subspan(kPrologueBytes, header - kPrologueBytes));
}

// The rows as records, as `observe` would show them.
bool read(const Bytes& file) {
  const auto size = header_bytes(file);
  if (!size || *size > file.size()) return false;
  const auto header = decode_header(std::span(file).first(*size), file.size());
  if (!header) return false;
  const auto matched = match_columns(*header, EveryType::schema());
  if (!matched) return false;
  std::vector<Segment::CompleteColumn> columns;
  for (const FileColumn* column : *matched) {
    columns.emplace_back();
    if (!column) continue;
    auto made = decode_column(*column, header->rows,
                              std::span(file).subspan(*size + column->offset, column->bytes));
    if (!made) return false;
    columns.back() = std::move(*made);
  }
  const auto segment = Segment::complete(EveryType::schema(), header->rows, std::move(columns));
  for (std::size_t row = 0; row < segment->rows(); row += 1 + segment->rows() / 64)
    (void)to_json(EveryType::schema(), segment->record(row).get(), {"host", 0});
  return true;
}

// The same by way of the folder and SQL.
class Disk {
 public:
  Disk() {
    char name[] = "/dev/shm/trivet-fuzz-XXXXXX";
    if (mkdtemp(name)) path_ = name;
  }
  ~Disk() { fs::remove_all(path_); }

  void query(const Bytes& file) {
    const auto header = decode_header(std::span(file).first(*header_bytes(file)), file.size());
    const StoredSegment::Name name{header->table, header->first_number, header->last_number,
                                   header->rows};
    if (!StoredSegment::Name::parse(name.to_string())) return;
    const std::string path = path_ + "/" + name.to_string();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(file.data()),
               static_cast<std::streamsize>(file.size()));
    auto spill = Spill::open(
        UniqueFd(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), {}, [] { return kNow; },
        log_);
    if (!spill) std::abort();
    Tables tables({.rows = 64, .bytes = 1 << 20}, spill->get());
    tables.declare(EveryType::schema());
    QueryEngine engine(tables, {}, [] { return Origin{"host", kNow.boot_to_real_ns}; });
    engine.set_limits({.memory_bytes = 32 << 20, .time_ns = 500'000'000});
    const std::atomic<bool> cancelled = false;
    for (const char* sql :
         {"SELECT * FROM every_types WHERE id > 1",
          "SELECT text, count(*), p50(large), max(fields) FROM every_types GROUP BY text",
          "SELECT address, time FROM every_types WHERE address = '192.0.2.7' ORDER BY "
          "address DESC, time"}) {
      Ignored sink;
      (void)engine.run(sql, sink, cancelled);
    }
    fs::remove(path);
  }

 private:
  std::string path_;
  Silent log_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Disk disk;
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  Bytes file(bytes, bytes + size);
  (void)read(file);
  put_checksums_right(file);
  // By way of SQL takes a hundred times as long: every eighth, whichever that is.
  if (read(file) && XXH3_64bits(file.data(), file.size()) % 8 == 0) disk.query(file);
  return 0;
}
