// SPDX-License-Identifier: Apache-2.0
#include "lanes/reader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

namespace trivet::lanes {
namespace {

constexpr std::array<std::string_view, LANE_COUNT> names = {"lifecycle", "alert", "candidate",
                                                            "bulk"};

// In this order: lifecycle last, see LaneReader.
constexpr std::array<lane, LANE_COUNT> drain_order = {LANE_BULK, LANE_CANDIDATE, LANE_ALERT,
                                                      LANE_LIFECYCLE};

// What one round may take from a lane before the batch goes on its way, so that a flood in one lane
// bounds neither memory nor the wait of the others. Lifecycle's is more than its ring holds: the
// order above needs all of it.
constexpr std::array<std::size_t, LANE_COUNT> max_round_bytes = {16 << 20, 2 << 20, 4 << 20,
                                                                 8 << 20};

// Bulk does not wake the reader. While there is payload, it is looked for this often; when there is
// none, ever more rarely.
constexpr std::chrono::milliseconds bulk_busy{5};
constexpr std::chrono::milliseconds bulk_idle{40};

// After a round with events, the next ones gather for this long: a thread that wakes for each costs
// more than the events do. Alerts do not wait.
constexpr std::chrono::milliseconds gather{1};

}  // namespace

std::string_view lane_name(unsigned lane) {
  return lane < LANE_COUNT ? names[lane] : "unknown";
}

Result<std::unique_ptr<LaneReader>> LaneReader::create(std::vector<broker::LoadedMap> maps,
                                                       Handler handler) {
  libbpf_set_print(nullptr);
  std::unique_ptr<LaneReader> reader(new LaneReader(std::move(handler)));
  for (broker::LoadedMap& map : maps) {
    if (map.name == "lane_accounts") {
      if (map.value_size != sizeof(lane_account)) {
        return Error{"the lanes' accounts have another layout than this program's"};
      }
      reader->accounts_ = std::move(map.fd);
    }
    for (unsigned i = 0; i < LANE_COUNT; i++) {
      if (map.name == "lane_" + std::string(names[i])) reader->lanes_[i].map = std::move(map.fd);
    }
  }
  if (!reader->accounts_) return Error{"the broker lent no map lane_accounts"};
  for (unsigned i = 0; i < LANE_COUNT; i++) {
    Lane& lane = reader->lanes_[i];
    if (!lane.map) return Error{"the broker lent no map lane_" + std::string(names[i])};
    lane.reader = reader.get();
    lane.number = i;
    lane.ring = ring_buffer__new(lane.map.get(), take_record, &lane, nullptr);
    if (!lane.ring) return system_error(errno, "cannot map lane " + std::string(names[i]));
  }
  reader->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!reader->wake_) return system_error(errno, "cannot make an eventfd");
  return reader;
}

LaneReader::~LaneReader() {
  for (Lane& lane : lanes_) ring_buffer__free(lane.ring);
}

int LaneReader::take_record(void* lane_pointer, void* data, std::size_t size) {
  auto& lane = *static_cast<Lane*>(lane_pointer);
  bool more = lane.reader->take(lane, {static_cast<const std::byte*>(data), size});
  // A negative answer ends the pass; this record counts as consumed.
  return more ? 0 : -EAGAIN;
}

bool LaneReader::take(Lane& lane, std::span<const std::byte> record) {
  event_header header{};
  if (record.size() >= sizeof(header)) std::memcpy(&header, record.data(), sizeof(header));
  if (record.size() < sizeof(header) || header.size != record.size() ||
      header.lane != lane.number || header.type == 0 || header.type >= EVENT_TYPES) {
    lane.malformed.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  lane.gaps.saw(header.cpu, header.sequence);
  lane.delivered[header.type].fetch_add(1, std::memory_order_relaxed);
  lane.round_bytes += record.size();
  batch_.add(record);
  return lane.round_bytes < max_round_bytes[lane.number];
}

void LaneReader::drain(Lane& lane) {
  lane.round_bytes = 0;
  ring_buffer__consume(lane.ring);
  lane.missing.store(lane.gaps.settle(), std::memory_order_relaxed);
}

std::size_t LaneReader::read_round() {
  batch_.reserve(last_batch_bytes_);
  for (lane number : drain_order) drain(lanes_[number]);
  std::size_t count = batch_.size();
  if (count == 0) return 0;
  batch_.sort_by_time();
  last_batch_bytes_ = batch_.bytes();
  handler_(std::exchange(batch_, Batch()));
  return count;
}

bool LaneReader::was_cut() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) {
    return lane.round_bytes >= max_round_bytes[lane.number];
  });
}

void LaneReader::run(std::stop_token stop) {
  std::stop_callback wake(stop, [this] {
    std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof(one));
  });
  std::array<pollfd, LANE_COUNT> wanted{};
  wanted[0] = {wake_.get(), POLLIN, 0};
  for (unsigned i = 0; i < LANE_BULK; i++) {
    wanted[i + 1] = {ring_buffer__epoll_fd(lanes_[i].ring), POLLIN, 0};
  }
  // The stop, and what must not wait for more to come.
  std::array<pollfd, 2> urgent = {wanted[0], wanted[1 + LANE_ALERT]};
  auto pause = bulk_busy;
  while (!stop.stop_requested()) {
    ::poll(wanted.data(), wanted.size(), static_cast<int>(pause.count()));
    std::size_t count = read_round();
    pause = lanes_[LANE_BULK].round_bytes > 0 ? bulk_busy : std::min(pause * 2, bulk_idle);
    // What the limit of a round left behind wakes nobody.
    while (was_cut() && !stop.stop_requested()) count = read_round();
    if (count > 0) ::poll(urgent.data(), urgent.size(), static_cast<int>(gather.count()));
  }
  read_round();
}

LaneCounters LaneReader::counters(unsigned number) const {
  LaneCounters counters;
  if (number >= LANE_COUNT) return counters;
  const Lane& lane = lanes_[number];
  for (const auto& count : lane.delivered) counters.delivered += count.load();
  counters.malformed = lane.malformed.load();
  counters.missing = lane.missing.load();
  return counters;
}

Result<std::vector<TypeAccount>> LaneReader::accounts() const {
  std::vector<TypeAccount> accounts;
  int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return system_error(-cpus, "cannot count the CPUs");
  std::vector<lane_account> values(static_cast<std::size_t>(cpus));
  static_assert(sizeof(lane_account) % 8 == 0, "the kernel rounds values of per-CPU maps up to 8");
  for (unsigned number = 0; number < LANE_COUNT; number++) {
    for (unsigned type = 0; type < EVENT_TYPES; type++) {
      std::uint32_t key = LANE_ACCOUNT(number, type);
      if (bpf_map_lookup_elem(accounts_.get(), &key, values.data()) != 0) {
        return system_error(errno, "cannot read the lanes' accounts");
      }
      TypeAccount account{number, type, {}, lanes_[number].delivered[type].load()};
      for (const lane_account& cpu : values) {
        account.kernel.offered += cpu.offered;
        account.kernel.filtered += cpu.filtered;
        account.kernel.ring_full += cpu.ring_full;
        account.kernel.too_large += cpu.too_large;
        account.kernel.fault += cpu.fault;
      }
      if (account.kernel.offered > 0 || account.delivered > 0) accounts.push_back(account);
    }
  }
  return accounts;
}

}  // namespace trivet::lanes
