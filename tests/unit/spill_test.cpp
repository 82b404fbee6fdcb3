// SPDX-License-Identifier: Apache-2.0
#include "records/spill.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "every_type.h"
#include "fake_host.h"
#include "query_rows.h"
#include "records/format.h"
#include "temporary_folder.h"

using namespace trivet;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kBootToReal = 1'700'000'000'000'000'000;
constexpr std::uint64_t kAll = ~std::uint64_t{0};
constexpr std::uint64_t kLongFromNow = std::uint64_t{1} << 62;

struct KeptLog final : Log {
  std::mutex mutex;
  std::vector<std::string> lines;
  void write(LogLevel, std::string_view sentence, const Values&) override {
    std::lock_guard lock(mutex);
    lines.emplace_back(sentence);
  }
  bool says(std::string_view part) {
    std::lock_guard lock(mutex);
    return std::ranges::any_of(lines,
                               [&](const auto& line) { return line.find(part) != line.npos; });
  }
};

BootClock this_boot() {
  return {boot_id(), kBootToReal};
}

// A folder with a spill over it that can be opened again and again.
struct Store {
  TemporaryFolder folder;
  KeptLog log;
  std::unique_ptr<Spill> spill;
  SpillLimits limits;

  Store() { fs::create_directory(path()); }
  std::string path(const std::string& name = "") const { return folder.path("records/" + name); }
  Result<std::unique_ptr<Spill>> try_open(const BootClock& clock = this_boot()) {
    return Spill::open(
        UniqueFd(::open(path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), limits,
        [clock] { return clock; }, log);
  }
  Spill& open(const BootClock& clock = this_boot()) {
    spill.reset();
    auto opened = try_open(clock);
    if (!opened) FAIL(opened.error().to_string());
    spill = std::move(*opened);
    return *spill;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path()))
      names.push_back(entry.path().filename().string());
    std::ranges::sort(names);
    return names;
  }
  std::uintmax_t bytes() const {
    std::uintmax_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(path())) bytes += entry.file_size();
    return bytes;
  }
};

void append(Tables& tables, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t id = first; id <= last; ++id)
    tables.append(EveryType::schema(), std::make_shared<EveryType>(every_type(id)));
}

// Has the rows written as files of `each` rows and ends the spill.
void write_rows(Store& store, std::uint64_t first, std::uint64_t last, std::size_t each,
                const BootClock& clock = this_boot()) {
  Spill& spill = store.open(clock);
  Tables tables({.rows = each * 32, .bytes = 256 << 20}, &spill);
  append(tables, first, last);
  tables.seal_all();
  spill.finish(std::chrono::seconds(60));
  store.spill.reset();
}

QueryEngine engine_over(const Tables& tables) {
  return QueryEngine(tables, {}, [] { return Origin{"host", kBootToReal}; });
}

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::size_t> all_columns(const RecordSchema& schema) {
  std::vector<std::size_t> columns(schema.columns.size() + 1);
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i] = i;
  return columns;
}

std::shared_ptr<const Segment> load(const TablePart& part, const RecordSchema& schema) {
  return part.stored->load(schema, this_boot(), all_columns(schema));
}

using Cells = std::vector<std::vector<std::string>>;

}  // namespace

TEST_CASE("every column type comes back from a file as it went in") {
  Store store;
  write_rows(store, 1, 3000, 1000);
  CHECK(store.files().size() == 3);
  const auto parts = store.open().parts("every_types", kAll);
  REQUIRE(parts.size() == 3);
  std::uint64_t id = 0;
  for (const auto& part : parts) {
    const auto segment = load(part, EveryType::schema());
    REQUIRE(segment);
    for (std::size_t row = 0; row < segment->rows(); ++row) {
      const EveryType expected = every_type(++id);
      const auto made = std::static_pointer_cast<const EveryType>(segment->record(row));
      const Origin origin{"host", kBootToReal};
      CHECK(to_json(EveryType::schema(), made.get(), origin) ==
            to_json(EveryType::schema(), &expected, origin));
      CHECK(made->fields == expected.fields);
      CHECK(made->maybe_text == expected.maybe_text);
      CHECK(segment->number(row) == id);
    }
  }
  CHECK(id == 3000);
  CHECK(store.log.lines.empty());
}

TEST_CASE(
    "records outlive the process that made them, and queries see old and new ones once each") {
  Store store;
  write_rows(store, 1, 1000, 10);
  Spill& spill = store.open();
  CHECK(spill.last_number() == 1000);
  Tables tables({.rows = 320, .bytes = 256 << 20}, &spill);
  append(tables, 1001, 2000);  // most of which leave the memory
  auto engine = engine_over(tables);
  CHECK(ask(engine, "SELECT count(*), count(DISTINCT id), min(id), max(id) FROM every_types") ==
        Cells{{"2000", "2000", "1", "2000"}});
  CHECK(ask(engine, "SELECT id FROM every_types WHERE id IN (7, 1500)") == Cells{{"7"}, {"1500"}});
  CHECK(ask(engine, "SELECT id FROM every_types ORDER BY time DESC LIMIT 2") ==
        Cells{{"2000"}, {"1999"}});
  CHECK(ask(engine, "SELECT id FROM every_types ORDER BY time LIMIT 2") == Cells{{"1"}, {"2"}});
  CHECK(ask(engine, "SELECT text, count(*), sum(id) FROM every_types GROUP BY text LIMIT 1") ==
        Cells{{"text 0", "400", "401000"}});
  CHECK(ask(engine,
            "SELECT count(*) FROM every_types WHERE text = 'text 3' AND address = "
            "'192.0.2.7'") == Cells{{"200"}});
  CHECK(ask(engine,
            "SELECT a.id FROM every_types a JOIN every_types b ON b.id = a.id + 1000 WHERE "
            "a.id < 3") == Cells{{"1"}, {"2"}});
  // Texts that SQLite holds on to, of segments that are gone by the time they are shown.
  CHECK(ask(engine, "SELECT min(text), max(text), max(texts) FROM every_types") ==
        Cells{{"text 0", "text 4", "[]"}});
  CHECK(ask(engine, "SELECT count(*) FROM every_types WHERE time >= '2023-11-14T22:30:00'")
            .front()
            .front() == "1001");
}

TEST_CASE("while writers go on, a query sees each row once and none missing") {
  Store store;
  Spill& spill = store.open();
  Tables tables({.rows = 64, .bytes = 1 << 20}, &spill);
  append(tables, 1, 1);
  auto engine = engine_over(tables);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    append(tables, 2, 3000);
    done = true;
  });
  while (!done) {
    const auto row =
        ask(engine, "SELECT count(*), count(DISTINCT id), max(id) FROM every_types").at(0);
    REQUIRE(row.size() == 3);
    REQUIRE(row[0] == row[2]);
    REQUIRE(row[1] == row[2]);
  }
  writer.join();
  tables.seal_all();
  spill.finish(std::chrono::seconds(60));
  CHECK(spill.states().at("every_types").written_rows == 3000);
}

TEST_CASE("while several write, and segments are sealed for their age, no row that was seen goes") {
  for (const TableLimits limits :
       {TableLimits{.rows = 4, .bytes = 1 << 16}, TableLimits{.rows = 1, .bytes = 1 << 26}}) {
    Store store;
    Spill& spill = store.open();
    Tables tables(limits, &spill);
    append(tables, 1, 1);
    auto engine = engine_over(tables);
    std::atomic<int> writing = 2;
    std::vector<std::thread> threads;
    for (const int from : {2, 5001}) {
      threads.emplace_back([&, from] {
        append(tables, from, from + 2000);
        --writing;
      });
    }
    threads.emplace_back([&] {
      while (writing > 0) tables.expire(kLongFromNow);
    });
    std::uint64_t before = 0;
    while (writing > 0) {
      const auto row = ask(engine, "SELECT count(*), count(DISTINCT id) FROM every_types").at(0);
      REQUIRE(row[0] == row[1]);
      const std::uint64_t now = std::stoull(row[0]);
      REQUIRE(now >= before);
      before = now;
    }
    for (auto& thread : threads) thread.join();
    tables.seal_all();
    spill.finish(std::chrono::seconds(60));
    CHECK(spill.states().at("every_types").written_rows == 4003);
  }
}

TEST_CASE("a file of which any bit is wrong, or the end is missing, is left out") {
  Store store;
  write_rows(store, 1, 8, 8);
  const std::string name = store.files().at(0), good = content(store.path(name));
  // Under a log of its own each time: only the first few are said.
  const auto refused = [&](const std::string& bytes) {
    std::ofstream(store.path(name), std::ios::binary) << bytes;
    KeptLog log;
    auto folder = SpillFolder::open(
        UniqueFd(::open(store.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), log);
    REQUIRE(folder.has_value());
    const StoredSegment stored(*folder, *StoredSegment::Name::parse(name), bytes.size(), 0);
    const bool loaded =
        stored.load(EveryType::schema(), this_boot(), all_columns(EveryType::schema())) != nullptr;
    CHECK((*folder)->refused() == (loaded ? 0 : 1));
    CHECK(log.lines.size() == (loaded ? 0 : 1));
    return !loaded;
  };
  CHECK(!refused(good));
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
    CAPTURE(at);
    CHECK(refused(bad));
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    CHECK(refused(good.substr(0, size)));
  }
  CHECK(!refused(good + "and more"));  // nobody reads that
}

TEST_CASE("what cannot be used is counted and said, and the rest is answered") {
  Store store;
  write_rows(store, 1, 30, 10);
  const auto names = store.files();
  REQUIRE(names.size() == 3);
  fs::resize_file(store.path(names[1]), 100);
  std::ofstream(store.path("README")) << "not ours";
  std::ofstream(store.path("every_types-5-9-5.segment")) << "nearly ours";
  fs::create_directory(store.path("folder"));
  fs::create_symlink("/etc/passwd", store.path(names[0] + ".link"));
  std::ofstream(store.path(names[0] + ".new")) << "unfinished";

  Spill& spill = store.open();
  CHECK(spill.foreign_files() == 4);
  CHECK(!fs::exists(store.path(names[0] + ".new")));
  CHECK(fs::exists(store.path("README")));
  Tables tables({.rows = 100, .bytes = 1 << 20}, &spill);
  tables.declare(EveryType::schema());
  auto engine = engine_over(tables);
  for (const char* sql :
       {"SELECT count(*) FROM every_types WHERE id > 0",
        "SELECT count(*) FROM (SELECT id FROM every_types ORDER BY time DESC)",
        "SELECT sum(n) FROM (SELECT count(*) AS n FROM every_types GROUP BY text)"}) {
    CHECK(ask(engine, sql) == Cells{{"20"}});
  }
  CHECK(spill.refused_segments() == 1);
  CHECK(store.log.says("is left out: it is damaged"));
  CHECK(store.log.says("not trivet's"));
}

TEST_CASE("a folder that is somebody else's, or in use, is refused") {
  Store store;
  store.open();
  auto second = store.try_open();
  REQUIRE(!second.has_value());
  CHECK(second.error().message.find("in use") != std::string::npos);
  CHECK(!Spill::open(UniqueFd(), {}, this_boot, store.log).has_value());
}

namespace {

#define OLDER_COLUMNS(X, R)                             \
  X(R, std::uint64_t, id, none, always, "", "A number") \
  X(R, std::string, gone, none, always, "", "A text")
#define NEWER_COLUMNS(X, R)                             \
  X(R, std::string, added, none, always, "", "A text")  \
  X(R, std::uint64_t, id, none, always, "", "A number") \
  X(R, std::optional<std::int64_t>, more, none, always, "", "A number")
#define OTHER_COLUMNS(X, R) X(R, std::string, id, none, always, "", "A text by now")
TRIVET_RECORD(Older, "samples", 1, "Samples", OLDER_COLUMNS);
TRIVET_RECORD(Newer, "samples", 1, "Samples", NEWER_COLUMNS);
TRIVET_RECORD(Later, "samples", 2, "Samples", OLDER_COLUMNS);
TRIVET_RECORD(Other, "samples", 1, "Samples", OTHER_COLUMNS);

}  // namespace

TEST_CASE("a segment of an older schema is read by column name, or refused with the reason") {
  Store store;
  {
    Spill& spill = store.open();
    Tables tables({.rows = 100, .bytes = 1 << 20}, &spill);
    for (std::uint64_t id : {5, 6})
      tables.append(Older::schema(), std::make_shared<Older>(Older{id, "x"}));
    tables.seal_all();
    spill.finish(std::chrono::seconds(60));
  }
  const auto rows = [&](const RecordSchema& schema, const char* sql) {
    Spill& spill = store.open();
    Tables tables({.rows = 100, .bytes = 1 << 20}, &spill);
    tables.declare(schema);
    return ask(engine_over(tables), sql);
  };
  CHECK(rows(Newer::schema(), "SELECT id, added, more FROM samples") ==
        Cells{{"5", "NULL", "NULL"}, {"6", "NULL", "NULL"}});
  CHECK(rows(Newer::schema(), "SELECT id FROM samples ORDER BY added, id DESC") ==
        Cells{{"6"}, {"5"}});
  CHECK(rows(Newer::schema(), "SELECT count(*) FROM samples WHERE more > 0 OR added = 'x'") ==
        Cells{{"0"}});
  CHECK(store.log.lines.empty());
  CHECK(rows(Later::schema(), "SELECT * FROM samples").empty());
  CHECK(store.log.says("it holds version 1 of samples, this trivet has version 2"));
  CHECK(rows(Other::schema(), "SELECT * FROM samples").empty());
  CHECK(store.log.says("its column id is integer, this trivet's is text"));
}

TEST_CASE("times of an earlier boot are the same moments after it") {
  Store store;
  BootClock earlier{boot_id(), kBootToReal - 3'600'000'000'000};
  earlier.boot_id[0] ^= std::byte{1};
  write_rows(store, 1, 10, 10, earlier);
  Spill& spill = store.open();
  Tables tables({.rows = 100, .bytes = 1 << 20}, &spill);
  append(tables, 1, 10);
  auto engine = engine_over(tables);
  // kBootToReal is 2023-11-14T22:13:20Z.
  CHECK(ask(engine, "SELECT time FROM every_types WHERE id = 1 ORDER BY time") ==
        Cells{{"2023-11-14T21:13:21.000000000Z"}, {"2023-11-14T22:13:21.000000000Z"}});
  CHECK(ask(engine, "SELECT count(*) FROM every_types WHERE time < '2023-11-14T22'") ==
        Cells{{"10"}});
}

TEST_CASE("files keep within the limit of bytes, and nothing else goes") {
  Store store;
  store.limits.bytes = 60'000;
  write_rows(store, 1, 5000, 100);
  CHECK(store.bytes() <= 60'000);
  CHECK(store.bytes() > 40'000);
  const auto name = StoredSegment::Name::parse(store.files().back());
  REQUIRE(name);
  CHECK(name->last == 5000);
  // A smaller limit applies as soon as the folder is taken over.
  store.limits.bytes = 30'000;
  store.open().finish(std::chrono::seconds(60));
  CHECK(store.bytes() <= 30'000);
}

TEST_CASE("a segment that no limit leaves room for is counted and changes nothing") {
  Store store;
  store.limits.bytes = 100;
  Spill& spill = store.open();
  Tables tables({.rows = 100, .bytes = 1 << 20}, &spill);
  append(tables, 1, 3);
  tables.seal_all();
  spill.finish(std::chrono::seconds(60));
  CHECK(spill.states().at("every_types").lost_to_limit == 3);
  CHECK(store.files().empty());
}

TEST_CASE("files that are too old go, but not from under a query") {
  Store store;
  store.limits.age_s = 3600;
  write_rows(store, 1, 20, 10);
  const std::string old = store.files().front();
  fs::last_write_time(store.path(old), fs::file_time_type::clock::now() - std::chrono::hours(2));
  store.limits.age_s = 86400;
  auto held = store.open().parts("every_types", kAll);
  REQUIRE(held.size() == 2);
  store.spill->set_limits({.bytes = 1 << 20, .age_s = 3600});
  store.spill->keep(load(held[1], EveryType::schema()));  // which has the limits looked at
  store.spill->finish(std::chrono::seconds(60));
  CHECK(store.spill->parts("every_types", kAll).front().stored->name().first == 11);
  CHECK(store.spill->states().at("every_types").evicted_segments == 1);
  CHECK(load(held[0], EveryType::schema()) != nullptr);
  CHECK(fs::exists(store.path(old)));
  held.clear();
  CHECK(!fs::exists(store.path(old)));
}

TEST_CASE("a folder that vanished or is full loses rows, counted and said once, and no more") {
  Store store;
  Spill& spill = store.open();
  Tables tables({.rows = 32, .bytes = 1 << 20}, &spill);
  bool full = false;
  rlimit before{};
  SUBCASE("vanished") {
    fs::remove_all(store.path());
  }
  SUBCASE("full") {
    full = true;
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before);
    rlimit small{100, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  append(tables, 1, 50);
  tables.seal_all();
  spill.finish(std::chrono::seconds(60));
  if (full) {
    ::setrlimit(RLIMIT_FSIZE, &before);
    CHECK(store.files().empty());  // nor anything unfinished
  }
  CHECK(spill.states().at("every_types").lost_to_writing == 50);
  CHECK(store.log.lines.size() == 1);
  CHECK(store.log.says("trivet_spill_lost_records_total"));
  CHECK(ask(engine_over(tables), "SELECT count(*) FROM every_types") == Cells{{"32"}});
}

TEST_CASE(
    "whoever seals segments faster than the disk takes them waits for nothing and loses some") {
  std::mt19937_64 random(1);
  std::vector<std::shared_ptr<const Segment>> segments;
  for (std::uint64_t id = 1; id <= 150; ++id) {
    SegmentWriter writer(EveryType::schema(), 1);
    EveryType row = every_type(id);
    row.text.resize(1'200'000);
    std::ranges::generate(row.text, [&] { return static_cast<char>(random()); });
    writer.append(&row, id);
    segments.push_back(writer.seal());
  }
  Store store;
  Spill& spill = store.open();
  for (const auto& segment : segments) spill.keep(segment);
  // What waits can be asked for.
  const auto parts = spill.parts("every_types", kAll);
  spill.finish(std::chrono::milliseconds(0));
  const auto state = spill.states().at("every_types");
  CHECK(state.lost_to_queue > 0);
  CHECK(state.lost_to_queue + parts.size() == segments.size());
  CHECK(state.lost_to_end + state.written_rows == parts.size());
  spill.keep(segments.front());
  CHECK(spill.states().at("every_types").lost_to_queue == state.lost_to_queue + 1);
}

TEST_CASE("what cannot be written before the end is counted and said") {
  Store store;
  Spill& spill = store.open();
  Tables tables({.rows = 32, .bytes = 1 << 20}, &spill);
  append(tables, 1, 1000);
  spill.finish(std::chrono::milliseconds(0));
  const auto state = spill.states().at("every_types");
  CHECK(state.lost_to_end > 0);
  CHECK(state.lost_to_end + state.written_rows == 1000);
  CHECK(store.log.says("no time"));
}

TEST_CASE("a query over files keeps within its memory and its time") {
  Store store;
  write_rows(store, 1, 60'000, 2000);
  Spill& spill = store.open();
  Tables tables({.rows = 100, .bytes = 1 << 20}, &spill);
  tables.declare(EveryType::schema());
  auto engine = engine_over(tables);
  engine.set_limits({.memory_bytes = 1 << 20});
  // Segment after segment needs little; all of them in one order more than there is.
  CHECK(ask(engine,
            "SELECT count(*), sum(length(maybe_text) > 1), max(large) IS NOT NULL FROM "
            "every_types") == Cells{{"60000", "14940", "1"}});
  CHECK(ask(engine, "SELECT large, max(maybe_text) FROM every_types GROUP BY large")
            .at(0)
            .at(0)
            .starts_with("error: the query needs more than 1 MiB of memory"));
  engine.set_limits({.memory_bytes = 256 << 20, .time_ns = 1});
  CHECK(ask(engine, "SELECT count(*) FROM every_types WHERE real > 0")
            .at(0)
            .at(0)
            .starts_with("error: the query took longer than"));
}

TEST_CASE("the name of a file is one spelling of a table and numbers") {
  const char* good = "http_requests-0000000000000000042-0000000000000003166-3125.segment";
  const auto name = StoredSegment::Name::parse(good);
  REQUIRE(name);
  CHECK(name->table == "http_requests");
  CHECK(name->first == 42);
  CHECK(name->last == 3166);
  CHECK(name->rows == 3125);
  CHECK(name->to_string() == good);
  for (const char* bad :
       {"", ".segment", "http_requests.segment", "http_requests-42-3166-3125.segment",
        "http_requests-0000000000000000042-0000000000000003166-0.segment",
        "http_requests-0000000000000000042-0000000000000003166-03125.segment",
        "http_requests-0000000000000000042-0000000000000003166-99999.segment",
        "http_requests-0000000000000003166-0000000000000000042-3125.segment",
        "-0000000000000000042-0000000000000003166-3125.segment",
        "../x-0000000000000000042-0000000000000003166-3125.segment",
        "http_requests-0000000000000000042-0000000000000003166-3125.segment.new",
        "http_requests--000000000000000042-0000000000000003166-3125.segment"}) {
    CAPTURE(bad);
    CHECK(!StoredSegment::Name::parse(bad));
  }
}
