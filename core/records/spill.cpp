// SPDX-License-Identifier: Apache-2.0
#include "records/spill.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>

namespace trivet {
namespace {

// Some seconds of a busy server's records: a disk that is slower than that is counted.
constexpr std::size_t kMaxQueuedBytes = 128 << 20;
// Files of segments that are sealed for their age alone: no more of a table than this many.
constexpr std::uint64_t kPartsOfAge = 4096;
constexpr std::uint64_t kMinOpenS = 60, kMaxOpenS = 600;
constexpr std::chrono::seconds kBetweenLooks{10};  // at what has become too old
// Above this no segment is called: numbers could not go on from there.
constexpr std::uint64_t kMaxNumber = 1'000'000'000'000'000'000;

std::int64_t real_now_s() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

}  // namespace

Spill::Spill(std::shared_ptr<SpillFolder> folder, SpillLimits limits, ClockNow now, Log& log)
    : folder_(std::move(folder)), now_(std::move(now)), log_(log), limits_(limits) {}

Result<std::unique_ptr<Spill>> Spill::open(UniqueFd descriptor, SpillLimits limits, ClockNow now,
                                           Log& log) {
  auto folder = SpillFolder::open(std::move(descriptor), log);
  if (!folder) return folder.error();
  std::unique_ptr<Spill> spill(new Spill(std::move(*folder), limits, std::move(now), log));
  if (auto taken = spill->take_over(); !taken) return taken.error();
  spill->thread_ = std::thread([self = spill.get()] {
    pthread_setname_np(pthread_self(), "spill");
    self->run();
  });
  return spill;
}

Result<void> Spill::take_over() {
  auto files = folder_->list();
  if (!files) return files.error();
  for (const auto& file : *files) {
    if (folder_->remove_unfinished(file.name)) continue;
    auto name = StoredSegment::Name::parse(file.name);
    if (!name || name->last > kMaxNumber) {
      ++foreign_files_;
      continue;
    }
    last_number_ = std::max(last_number_, name->last);
    Table& table = tables_[name->table];
    auto stored =
        std::make_shared<StoredSegment>(folder_, std::move(*name), file.bytes, file.written_s);
    unchecked_.push_back(stored);
    table.state.bytes += stored->bytes();
    table.files.push_back(std::move(stored));
  }
  for (auto& [name, table] : tables_) {
    std::ranges::sort(table.files, {}, [](const Stored& stored) { return stored->name().first; });
    table.state.segments = table.files.size();
  }
  if (foreign_files_ != 0) {
    log_.warning(
        "the folder of records.spill holds files that are not trivet's: they are left "
        "alone",
        {{"files", std::to_string(foreign_files_)}});
  }
  return {};
}

Spill::~Spill() {
  finish(std::chrono::milliseconds(0));
}

void Spill::set_limits(SpillLimits limits) {
  std::lock_guard lock(mutex_);
  limits_ = limits;
}

std::uint64_t Spill::max_open_ns() const {
  std::lock_guard lock(mutex_);
  return std::clamp(limits_.age_s / kPartsOfAge, kMinOpenS, kMaxOpenS) * 1'000'000'000;
}

void Spill::keep(std::shared_ptr<const Segment> segment) {
  {
    std::lock_guard lock(queue_mutex_);
    const bool fits = queue_.empty() || queued_bytes_ + segment->bytes() <= kMaxQueuedBytes;
    if (fits && !ending_) {
      queued_bytes_ += segment->bytes();
      queue_.push_back(std::move(segment));
      wake_.notify_one();
      return;
    }
  }
  lose(*segment, &SpillState::lost_to_queue);
}

void Spill::lose(const Segment& segment, std::uint64_t SpillState::*reason) {
  std::lock_guard lock(mutex_);
  tables_[std::string(segment.schema().table)].state.*reason += segment.rows();
}

std::vector<TablePart> Spill::parts(std::string_view table, std::uint64_t before) const {
  std::map<std::uint64_t, TablePart> parts;  // by the number of the first row
  {
    // First what waits: a segment gets its file before it leaves the queue.
    std::lock_guard lock(queue_mutex_);
    for (const auto& segment : queue_) {
      if (segment->schema().table == table && segment->number(0) < before)
        parts.try_emplace(segment->number(0), TablePart{segment, nullptr});
    }
  }
  {
    std::lock_guard lock(mutex_);
    const auto found = tables_.find(table);
    if (found != tables_.end()) {
      for (const auto& stored : found->second.files) {
        if (stored->name().last < before)
          parts.try_emplace(stored->name().first, TablePart{nullptr, stored});
      }
    }
  }
  std::vector<TablePart> in_order;
  for (auto& [first, part] : parts) in_order.push_back(std::move(part));
  return in_order;
}

void Spill::finish(std::chrono::milliseconds patience) {
  {
    std::lock_guard lock(queue_mutex_);
    ending_ = true;
    end_ = Steady::now() + patience;
    wake_.notify_one();
  }
  if (!thread_.joinable()) return;
  thread_.join();
  std::uint64_t lost = 0;
  for (const auto& [table, state] : states()) lost += state.lost_to_end;
  if (lost != 0) {
    log_.warning("there was no time to write all records to the folder of records.spill",
                 {{"lost", std::to_string(lost)}});
  }
}

void Spill::run() {
  evict_all();
  auto next_look = Steady::now() + kBetweenLooks;
  std::unique_lock lock(queue_mutex_);
  for (;;) {
    if (queue_.empty() && !ending_ && unchecked_.empty()) wake_.wait_until(lock, next_look);
    if (Steady::now() >= next_look) {
      lock.unlock();
      evict_all();
      next_look = Steady::now() + kBetweenLooks;
      lock.lock();
    }
    if (!queue_.empty()) {
      const auto segment = queue_.front();
      const bool late = Steady::now() >= end_;
      lock.unlock();
      late ? lose(*segment, &SpillState::lost_to_end) : write(segment);
      lock.lock();
      queued_bytes_ -= segment->bytes();
      queue_.pop_front();
    } else if (ending_) {
      return;
    } else if (!unchecked_.empty()) {
      const Stored stored = unchecked_.front().lock();
      unchecked_.pop_front();
      lock.unlock();
      if (stored) stored->check();
      lock.lock();
    }
  }
}

void Spill::write(const std::shared_ptr<const Segment>& segment) {
  const auto bytes = encode_segment(*segment, now_());
  const std::string table_name(segment->schema().table);
  std::vector<Stored> evicted;
  {
    std::lock_guard lock(mutex_);
    Table& table = tables_[table_name];
    if (bytes.size() > limits_.bytes) {
      table.state.lost_to_limit += segment->rows();
      return;
    }
    evicted = evict(table, bytes.size());
  }
  evicted.clear();  // removes the files

  const StoredSegment::Name name{table_name, segment->number(0),
                                 segment->number(segment->rows() - 1),
                                 static_cast<std::uint32_t>(segment->rows())};
  const auto written = folder_->write(name.to_string(), bytes);
  if (written.has_value() == failing_) {
    failing_ = !failing_;
    failing_ ? log_.error(
                   "records cannot be kept in the folder of records.spill, counted in "
                   "trivet_spill_lost_records_total: " +
                   written.error().message)
             : log_.info("records are kept in the folder of records.spill again");
  }
  if (!written) return lose(*segment, &SpillState::lost_to_writing);

  auto stored = std::make_shared<StoredSegment>(folder_, name, bytes.size(), real_now_s());
  std::lock_guard lock(mutex_);
  Table& table = tables_[table_name];
  table.state.written_rows += segment->rows();
  table.state.written_bytes += bytes.size();
  table.state.bytes += bytes.size();
  // Of two writers the one that was later may have been sealed first.
  const auto place = std::ranges::upper_bound(
      table.files, name.first, {}, [](const Stored& other) { return other->name().first; });
  table.files.insert(place, std::move(stored));
  table.state.segments = table.files.size();
}

std::vector<Spill::Stored> Spill::evict(Table& table, std::uint64_t incoming) {
  std::vector<Stored> evicted;
  const auto oldest_s = real_now_s() - static_cast<std::int64_t>(limits_.age_s);
  while (!table.files.empty() && (table.state.bytes + incoming > limits_.bytes ||
                                  table.files.front()->written_s() < oldest_s)) {
    auto& stored = evicted.emplace_back(std::move(table.files.front()));
    table.files.pop_front();
    stored->remove_when_unused();
    table.state.bytes -= stored->bytes();
    ++table.state.evicted_segments;
  }
  table.state.segments = table.files.size();
  return evicted;
}

void Spill::evict_all() {
  std::vector<Stored> evicted;  // their files go after the lock has
  {
    std::lock_guard lock(mutex_);
    for (auto& [name, table] : tables_) {
      auto more = evict(table, 0);
      std::ranges::move(more, std::back_inserter(evicted));
    }
  }
}

std::map<std::string, SpillState> Spill::states() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, SpillState> states;
  for (const auto& [name, table] : tables_) states.emplace(name, table.state);
  return states;
}

}  // namespace trivet
