// SPDX-License-Identifier: Apache-2.0
#include "lanes/reader.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

namespace trivet::lanes {
namespace {

constexpr std::array<std::string_view, LANE_COUNT> names = {"lifecycle", "alert", "candidate",
                                                            "bulk"};

// What one round may take of a lane before the batch goes on its way, so that a flood in one lane
// bounds neither memory nor the wait of the others: an alert waits for one such batch at most. The
// lifecycle lane is always read to its end, as are alerts.
constexpr Merge::Budget max_round_bytes = {SIZE_MAX, SIZE_MAX, 1 << 20, 1 << 20};

// Bulk wakes the reader only where a ring fills up. While there is payload, it is looked for this
// often; when there is none, ever more rarely.
constexpr std::chrono::milliseconds bulk_busy{5};
constexpr std::chrono::milliseconds bulk_idle{40};

// After a round with events, the next ones gather for this long: a thread that wakes for each costs
// more than the events do. Alerts do not wait.
constexpr std::chrono::milliseconds gather{1};

std::uint64_t boot_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

Result<void> add_to(int epoll, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    return system_error(errno, "cannot wait for a ring");
  return {};
}

}  // namespace

std::string_view lane_name(unsigned lane) {
  return lane < LANE_COUNT ? names[lane] : "unknown";
}

LaneReader::LaneReader(Handler handler, Room room)
    : handler_(std::move(handler)), room_(std::move(room)), merge_(boot_now_ns) {}

Result<std::unique_ptr<LaneReader>> LaneReader::create(std::vector<broker::LoadedMap> maps,
                                                       Handler handler, Room room) {
  libbpf_set_print(nullptr);
  std::unique_ptr<LaneReader> reader(new LaneReader(std::move(handler), std::move(room)));
  reader->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  reader->any_.reset(::epoll_create1(EPOLL_CLOEXEC));
  reader->urgent_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!reader->wake_ || !reader->any_ || !reader->urgent_)
    return system_error(errno, "cannot make what the reader waits on");
  for (const int epoll : {reader->any_.get(), reader->urgent_.get()}) {
    if (auto added = add_to(epoll, reader->wake_.get(), EPOLLIN); !added) return added.error();
  }
  std::array<bool, LANE_COUNT> found{};
  for (broker::LoadedMap& map : maps) {
    if (map.name == "lane_accounts") {
      if (map.value_size != sizeof(lane_account)) {
        return Error{"the lanes' accounts have another layout than this program's"};
      }
      reader->accounts_ = std::move(map.fd);
    }
    for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
      if (map.name != "lane_" + std::string(names[lane])) continue;
      auto ring = MappedRing::map(std::move(map.fd), map.max_entries);
      if (!ring) return std::move(ring).error().within("lane " + std::string(names[lane]));
      if (auto watched = reader->watch(lane, ring->fd()); !watched) return watched.error();
      reader->merge_.add_ring(lane, ring->memory());
      reader->rings_.push_back(std::move(*ring));
      found[lane] = true;
    }
  }
  if (!reader->accounts_) return Error{"the broker lent no map lane_accounts"};
  for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
    if (!found[lane]) return Error{"the broker lent no map lane_" + std::string(names[lane])};
  }
  return reader;
}

Result<void> LaneReader::watch(unsigned lane, int ring) {
  // By edges where a ring with something in it shall not wake, only its producers' wish.
  const std::uint32_t events = lane == LANE_BULK ? EPOLLIN | EPOLLET : EPOLLIN;
  if (auto added = add_to(any_.get(), ring, events); !added) return added;
  return lane == LANE_ALERT ? add_to(urgent_.get(), ring, EPOLLIN) : Result<void>();
}

std::size_t LaneReader::read_round() {
  Merge::Budget budget = max_round_bytes;
  for (unsigned lane = 0; lane < LANE_COUNT; lane++)
    budget[lane] = std::min(budget[lane], room_(static_cast<enum lane>(lane)));
  if (lifecycle_held_) budget[LANE_LIFECYCLE] = 0;
  batch_.clear();
  merge_.read(batch_, budget);
  const std::size_t count = batch_.size();
  if (count == 0) return 0;
  handler_(std::move(batch_));
  return count;
}

void LaneReader::wait(int events, std::chrono::milliseconds time) {
  epoll_event event{};
  ::epoll_wait(events, &event, 1, static_cast<int>(time.count()));
}

void LaneReader::release_lifecycle(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
  }
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

void LaneReader::run_task() {
  std::uint64_t count;
  if (::read(wake_.get(), &count, sizeof(count)) != sizeof(count)) return;
  std::function<void()> task;
  {
    const std::lock_guard lock(mutex_);
    task.swap(task_);
  }
  if (!task) return;
  task();
  lifecycle_held_ = false;
}

void LaneReader::run(std::stop_token stop) {
  std::stop_callback wake(stop, [this] {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof(one));
  });
  auto pause = bulk_busy;
  while (!stop.stop_requested()) {
    wait(any_.get(), pause);
    std::size_t count = 0;
    bool more = false;
    do {
      run_task();
      const std::size_t now = read_round();
      count += now;
      // What the budget left behind wakes nobody. Where a round took nothing at all, it is the
      // consumers that must go first.
      more = now > 0 && (merge_.was_cut(LANE_CANDIDATE) || merge_.was_cut(LANE_BULK));
    } while (more && !stop.stop_requested());
    pause = count > 0 && merge_.taken(LANE_BULK) > 0 ? bulk_busy : std::min(pause * 2, bulk_idle);
    bool left = false;
    for (unsigned lane = 0; lane < LANE_COUNT; lane++) left = left || merge_.was_cut(lane);
    if (count > 0 || left) wait(urgent_.get(), gather);
  }
  lifecycle_held_ = false;
  read_round();
}

LaneCounters LaneReader::counters(unsigned lane) const {
  LaneCounters counters;
  if (lane >= LANE_COUNT) return counters;
  const Merge::Counters& counted = merge_.counters(lane);
  for (const auto& count : counted.delivered) counters.delivered += count.load();
  counters.malformed = counted.malformed.load();
  counters.missing = counted.missing.load();
  counters.late = counted.late.load();
  return counters;
}

Result<std::vector<TypeAccount>> LaneReader::accounts() const {
  std::vector<TypeAccount> all;
  for (unsigned lane = 0; lane < LANE_COUNT; lane++) {
    auto some = accounts(lane);
    if (!some) return some;
    all.insert(all.end(), some->begin(), some->end());
  }
  return all;
}

Result<std::vector<TypeAccount>> LaneReader::accounts(unsigned lane) const {
  const int possible = libbpf_num_possible_cpus();
  if (possible <= 0) return system_error(-possible, "cannot count the CPUs");
  const auto cpus = static_cast<std::size_t>(possible);
  static_assert(sizeof(lane_account) % 8 == 0, "the kernel rounds values of per-CPU maps up to 8");
  // A lane's slots are neighbours: one system call reads them. It takes up after the slot before.
  std::vector<lane_account> values(cpus * EVENT_TYPES);
  std::array<std::uint32_t, EVENT_TYPES> keys{};
  std::uint32_t before = LANE_ACCOUNT(lane, 0) - 1;
  std::uint32_t last = 0;
  std::uint32_t read = EVENT_TYPES;
  if (bpf_map_lookup_batch(accounts_.get(), lane > 0 ? &before : nullptr, &last, keys.data(),
                           values.data(), &read, nullptr) != 0 &&
      errno != ENOENT) {
    return system_error(errno, "cannot read the lanes' accounts");
  }
  std::vector<TypeAccount> accounts;
  for (std::uint32_t i = 0; i < read; i++) {
    const unsigned type = keys[i] - LANE_ACCOUNT(lane, 0);
    if (type >= EVENT_TYPES) continue;
    TypeAccount account{lane, type, {}, merge_.counters(lane).delivered[type].load()};
    for (std::size_t cpu = 0; cpu < cpus; cpu++) {
      const lane_account& value = values[i * cpus + cpu];
      account.kernel.offered += value.offered;
      account.kernel.filtered += value.filtered;
      account.kernel.ring_full += value.ring_full;
      account.kernel.too_large += value.too_large;
      account.kernel.fault += value.fault;
    }
    if (account.kernel.offered > 0 || account.delivered > 0) accounts.push_back(account);
  }
  return accounts;
}

}  // namespace trivet::lanes
