// SPDX-License-Identifier: Apache-2.0
// What it costs to keep http_requests in files and to ask for them there, next to memory: packing
// and writing, queries, resident memory. In seconds of one core unless it says otherwise.
//   spill_bench FOLDER [ROWS]      FOLDER: on the disk to measure; a folder is made in it
#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "query/engine.h"
#include "records/spill.h"
#include "traffic.h"

using namespace trivet;

namespace {

constexpr std::size_t kMiB = 1 << 20;

struct Silent final : Log {
  void write(LogLevel, std::string_view sentence, const Values&) override {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(sentence.size()), sentence.data());
  }
};

struct Counted final : RowSink {
  std::uint64_t rows = 0;
  bool columns(const std::vector<std::string>&) override { return true; }
  bool row(std::span<const Cell>) override { return ++rows, true; }
};

double wall_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

std::unique_ptr<Spill> open_spill(const std::string& path, Log& log) {
  UniqueFd folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto spill = Spill::open(
      std::move(folder), {.bytes = std::uint64_t{1} << 40},
      [] {
        return BootClock{boot_id(), 0};
      },
      log);
  if (!spill) {
    std::fprintf(stderr, "%s\n", spill.error().to_string().c_str());
    std::exit(1);
  }
  return std::move(*spill);
}

// How well the columns of one segment pack, and how fast that goes both ways.
void measure_packing(std::size_t rows) {
  Traffic traffic;
  SegmentWriter writer(HttpRequest::schema(), rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const HttpRequest request = traffic.next();
    writer.append(&request, i + 1);
  }
  const auto segment = writer.seal();
  std::vector<std::byte> files[2];
  std::vector<double> made[2], read[2];
  for (int round = 0; round < 5; ++round) {
    for (const Packing packing : {Packing::none, Packing::zstd}) {
      const auto p = static_cast<std::size_t>(packing);
      double start = core_seconds();
      files[p] = encode_segment(*segment, {}, packing);
      made[p].push_back(core_seconds() - start);
      start = core_seconds();
      const std::span<const std::byte> bytes = files[p];
      const auto header = decode_header(bytes.first(*header_bytes(bytes)), bytes.size());
      for (const auto& column : header->columns) {
        if (!decode_column(column, rows,
                           bytes.subspan(header->bytes + column.offset, column.bytes)))
          std::exit(1);
      }
      read[p].push_back(core_seconds() - start);
    }
  }
  const auto raw = static_cast<double>(files[0].size()), count = static_cast<double>(rows);
  for (const std::size_t p : {0, 1}) {
    std::printf(
        "%6zu rows a segment, %s: %5.1f bytes a row, made at %6.0f MiB/s (%.1f M rows/s), "
        "read at %6.0f MiB/s (%.1f M rows/s), of unpacked bytes\n",
        rows, p == 0 ? "plain" : "zstd ", static_cast<double>(files[p].size()) / count,
        raw / kMiB / median(made[p]), count / median(made[p]) / 1e6, raw / kMiB / median(read[p]),
        count / median(read[p]) / 1e6);
  }
}

void fill(Tables& tables, std::size_t rows) {
  Traffic traffic;
  for (std::size_t i = 0; i < rows; ++i)
    tables.append(HttpRequest::schema(), std::make_shared<HttpRequest>(traffic.next()));
}

// Segments that have no file yet.
std::ptrdiff_t waiting(const Spill& spill) {
  const auto parts = spill.parts("http_requests", ~std::uint64_t{0});
  return std::ranges::count_if(parts,
                               [](const TablePart& part) { return part.segment != nullptr; });
}

double ask(const QueryEngine& engine, const char* sql, std::uint64_t& rows) {
  Counted counted;
  const std::atomic<bool> cancelled = false;
  const double start = core_seconds();
  if (auto done = engine.run(sql, counted, cancelled); !done) {
    std::fprintf(stderr, "%s: %s\n", sql, done.error().to_string().c_str());
    std::exit(1);
  }
  rows = counted.rows;
  return core_seconds() - start;
}

QueryEngine engine_over(const Tables& tables) {
  return QueryEngine(tables, {}, [] { return Origin{"host", 0}; });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "spill_bench FOLDER [ROWS]\n"), 2;
  const std::size_t rows = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 10'000'000;
  const std::string path = std::string(argv[1]) + "/trivet-spill-bench";
  std::filesystem::create_directories(path);
  Silent log;
  for (const std::size_t each : {3125, 65536}) measure_packing(each);

  {  // To disk: as fast as the spill's thread writes. The queue must not overflow, so in portions.
    auto spill = open_spill(path, log);
    Tables tables({.rows = std::size_t{2} << 20, .bytes = std::size_t{8} << 30}, spill.get());
    Traffic traffic;
    double appending = 0;
    const double start = wall_seconds();
    for (std::size_t done = 0; done < rows; done += Segment::kMaxRows) {
      const double before = core_seconds();
      for (std::size_t i = 0; i < Segment::kMaxRows && done + i < rows; ++i)
        tables.append(HttpRequest::schema(), std::make_shared<HttpRequest>(traffic.next()));
      appending += core_seconds() - before;
      while (waiting(*spill) > 8) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    tables.seal_all();
    spill->finish(std::chrono::seconds(600));
    const double took = wall_seconds() - start;
    const auto state = spill->states().at("http_requests");
    std::printf(
        "%zu rows to disk, made and written at once: %.1f s (wall), %.0f MiB, %.1f bytes a "
        "row; %.0f rows/s appended by the core that makes them\n",
        static_cast<std::size_t>(state.written_rows), took,
        static_cast<double>(state.written_bytes) / kMiB,
        static_cast<double>(state.written_bytes) / static_cast<double>(state.written_rows),
        static_cast<double>(rows) / appending);
    if (state.written_rows != rows) std::printf("LOST %zu rows\n", rows - state.written_rows);
  }
  {  // Written alone, from segments that wait.
    const std::string again = path + "/again";
    std::filesystem::create_directories(again);
    std::vector<std::shared_ptr<const Segment>> segments;
    Tables tables({.rows = 32 * Segment::kMaxRows, .bytes = std::size_t{8} << 30});
    fill(tables, 24 * Segment::kMaxRows);
    for (const auto& part : tables.parts("http_requests"))
      if (part.segment->complete_column(0)) segments.push_back(part.segment);
    std::vector<double> seconds;
    std::uint64_t bytes = 0, count = 0;
    for (int round = 0; round < 3; ++round) {
      auto spill = open_spill(again, log);
      const double start = wall_seconds();
      for (const auto& segment : segments) spill->keep(segment);
      spill->finish(std::chrono::seconds(600));
      seconds.push_back(wall_seconds() - start);
      bytes = spill->states().at("http_requests").written_bytes;
      count = spill->states().at("http_requests").written_rows;
      spill.reset();
      for (const auto& entry : std::filesystem::directory_iterator(again))
        std::filesystem::remove(entry.path());
    }
    std::filesystem::remove(again);
    std::printf(
        "packed and written, fsync included (wall): %.0f MiB of files a second, %.2f M rows/s\n",
        static_cast<double>(bytes) / kMiB / median(seconds),
        static_cast<double>(count) / median(seconds) / 1e6);
  }

  const double before = resident_mib();
  const double opening = wall_seconds();
  auto spill = open_spill(path, log);
  const double opened = wall_seconds() - opening;
  Tables stored({.rows = 1000, .bytes = kMiB}, spill.get());
  stored.declare(HttpRequest::schema());
  const QueryEngine from_disk = engine_over(stored);
  std::printf("taken over at start in %.3f s (wall): %zu files\n", opened,
              stored.parts("http_requests").size());

  const char* questions[] = {
      "SELECT count(*) FROM http_requests",
      "SELECT count(*) FROM http_requests WHERE status >= 500",
      "SELECT count(*), sum(latency) FROM http_requests WHERE method = 'POST'",
      "SELECT count(*) FROM http_requests WHERE latency % 7 = 3",
      "SELECT path FROM http_requests ORDER BY time_ns DESC LIMIT 10",
      "SELECT status, count(*), avg(latency) FROM http_requests GROUP BY status",
      "SELECT path, count(*), p50(latency), p99(latency) FROM http_requests GROUP BY path",
  };
  std::uint64_t found = 0;
  for (const char* sql : questions) (void)ask(from_disk, sql, found);
  std::printf("resident after each question over files, within 256 MiB a query: %.0f MiB more\n",
              resident_mib() - before);

  Tables memory({.rows = rows + 2'000'000, .bytes = std::size_t{8} << 30});
  fill(memory, rows);
  const QueryEngine from_memory = engine_over(memory);
  for (const char* sql : questions) {
    std::vector<double> disk, ram;
    std::uint64_t disk_rows = 0, ram_rows = 0;
    for (int i = 0; i < 3; ++i) {
      disk.push_back(ask(from_disk, sql, disk_rows));
      ram.push_back(ask(from_memory, sql, ram_rows));
    }
    if (disk_rows != ram_rows) std::printf("DIFFERENT numbers of rows\n");
    std::printf("%8.3f s from files, %8.3f s from memory (ratio %.1f)  %s\n", median(disk),
                median(ram), median(disk) / median(ram), sql);
  }
  spill.reset();
  std::filesystem::remove_all(path);
}
