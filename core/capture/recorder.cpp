// SPDX-License-Identifier: Apache-2.0
#include "capture/recorder.h"

#include <time.h>

#include <cerrno>
#include <utility>

namespace trivet {
namespace {

// What may wait for a client: seconds of a busy host's events.
constexpr std::size_t kMaxWaitingBytes = 64 << 20;
// Events of one block.
constexpr std::size_t kEventBlockBytes = 1 << 20;
// Kept free of the client's bound for the last blocks, which say what is missing.
constexpr std::uint64_t kEndBytes = 512;

std::uint64_t boot_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void add_to(LaneCounts& to, const LaneCounts& counts) {
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane) to[lane] += counts[lane];
}

}  // namespace

Recording::Recording(RecordingWish wish, Losses losses)
    : types_(wish.types),
      max_bytes_(wish.max_bytes),
      wake_(std::move(wish.wake)),
      losses_(std::move(losses)),
      losses_before_(losses_()) {
  blocks_.push_back(capture_head());
  waiting_bytes_ = bytes_ = blocks_.back().size();
  append(BlockKind::host, encode(wish.host));
  append(BlockKind::configuration, encode(wish.configuration));
}

bool Recording::append(BlockKind kind, std::span<const std::byte> payload) {
  if (ended_) return false;
  std::string block = capture_block(kind, payload);
  if (bytes_ + block.size() + kEndBytes > max_bytes_) {
    append_end(CaptureEnd::Reason::size);
    return false;
  }
  bytes_ += block.size();
  waiting_bytes_ += block.size();
  blocks_.push_back(std::move(block));
  return true;
}

void Recording::append_end(CaptureEnd::Reason reason) {
  CaptureEnd end{boot_now_ns(), reason, events_, lost_, losses_()};
  for (unsigned lane = 0; lane < LANE_COUNT; ++lane)
    end.lost_in_kernel[lane] -= losses_before_[lane];
  blocks_.push_back(capture_block(BlockKind::end, encode(end)));
  waiting_bytes_ += blocks_.back().size();
  ended_ = true;
}

void Recording::end(CaptureEnd::Reason reason) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    append_end(reason);
  }
  wake_();
}

void Recording::append_events(const LaneCounts& counts, std::span<const std::byte> records) {
  if (records.empty()) return;
  const bool room = waiting_bytes_ + records.size() <= kMaxWaitingBytes;
  // What is missing is told where it is missing.
  if (room && untold_ != LaneCounts{} && append(BlockKind::lost, encode(untold_))) untold_ = {};
  if (room && append(BlockKind::events, records)) {
    add_to(events_, counts);
  } else if (!ended_) {
    add_to(lost_, counts);
    add_to(untold_, counts);
  }
}

void Recording::events(const lanes::Batch& batch) {
  {
    const std::lock_guard lock(mutex_);
    LaneCounts counts{};
    Bytes records;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto& header = batch.header(i);
      if (header.type >= EVENT_CORE_TYPES && !types_[header.type]) continue;
      const auto record = batch.record(i);
      records.insert(records.end(), record.begin(), record.end());
      ++counts[header.lane];
      if (records.size() < kEventBlockBytes) continue;
      append_events(counts, records);
      counts = {};
      records.clear();
    }
    append_events(counts, records);
  }
  wake_();
}

void Recording::add(BlockKind kind, std::span<const std::byte> payload) {
  if (payload.size() > kMaxBlockBytes) return;
  const std::lock_guard lock(mutex_);
  append(kind, payload);
}

bool Recording::take(std::string& out, std::size_t most) {
  const std::lock_guard lock(mutex_);
  for (std::size_t taken = 0; taken < most && !blocks_.empty(); blocks_.pop_front()) {
    taken += blocks_.front().size();
    waiting_bytes_ -= blocks_.front().size();
    out += blocks_.front();
  }
  return !ended_ || !blocks_.empty();
}

Result<std::shared_ptr<ByteSource>> Recorder::begin(RecordingWish wish) {
  const std::lock_guard lock(mutex_);
  if (const auto before = recording_.lock(); before && !before->ended())
    return Error{"another capture is being recorded: end it first", EBUSY, {}};
  if (encode(wish.configuration).size() > kMaxBlockBytes)
    return Error{"the configuration with its rules is too large for a capture", EFBIG, {}};
  auto recording = std::make_shared<Recording>(std::move(wish), losses_);
  recording_ = recording;
  active_ = true;
  return std::shared_ptr<ByteSource>(std::move(recording));
}

std::shared_ptr<Recording> Recorder::recording() {
  if (!active_.load(std::memory_order_relaxed)) return nullptr;
  const std::lock_guard lock(mutex_);
  auto recording = recording_.lock();
  if (recording && !recording->ended()) return recording;
  active_ = false;
  return nullptr;
}

void Recorder::saw(const lanes::Batch& batch) {
  const auto recording = this->recording();
  if (!recording) return;
  if (!recording->facts_told.exchange(true)) {
    tell_facts_(*this);
    std::map<std::string, Resolver::Table> resolved;
    {
      const std::lock_guard lock(mutex_);
      resolved = addresses_;
    }
    for (const auto& [plugin, table] : resolved)
      recording->add(BlockKind::addresses, encode(CapturedAddresses{plugin, table}));
  }
  recording->events(batch);
}

std::shared_ptr<Recording> Recorder::recording_with_facts() {
  auto recording = this->recording();
  return recording && recording->facts_told ? recording : nullptr;
}

template <class Encode>
void Recorder::add(BlockKind kind, Encode encode) {
  if (const auto recording = recording_with_facts()) recording->add(kind, encode());
}

void Recorder::addresses(const std::string& plugin, const Resolver::Table& table) {
  {
    const std::lock_guard lock(mutex_);
    addresses_[plugin] = table;
  }
  add(BlockKind::addresses, [&] { return encode(CapturedAddresses{plugin, table}); });
}

void Recorder::told(std::span<const std::byte> record) {
  add(BlockKind::fact, [&] { return record; });
}

void Recorder::socket_snapshot_begun() {
  const auto recording = recording_with_facts();
  if (!recording) return;
  recording->sockets_begun = true;
  recording->add(BlockKind::socket_snapshot_begun, {});
}

void Recorder::socket_snapshot_ended(std::uint64_t start_ns) {
  const auto recording = recording_with_facts();
  // The end of one that began before this capture says nothing here.
  if (!recording || !recording->sockets_begun.exchange(false)) return;
  recording->add(BlockKind::socket_snapshot_ended, encode(start_ns));
}

void Recorder::container(const Container& container) {
  add(BlockKind::container, [&] { return encode(container); });
}

void Recorder::environment(const TaskKey& task, const std::vector<std::string>& variables) {
  add(BlockKind::environment, [&] { return encode(CapturedEnvironment{task, variables}); });
}

void Recorder::exe_sha256(const ExeIdentity& exe, const std::string& hash) {
  add(BlockKind::exe_hash, [&] { return encode(CapturedHash{exe, hash}); });
}

void Recorder::accounts(const AccountNames& users, const AccountNames& groups) {
  add(BlockKind::accounts, [&] { return encode(CapturedAccounts{users, groups}); });
}

}  // namespace trivet
