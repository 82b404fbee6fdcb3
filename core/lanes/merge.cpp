// SPDX-License-Identifier: Apache-2.0
#include "lanes/merge.h"

#include <sched.h>

#include <algorithm>
#include <utility>

namespace trivet::lanes {
namespace {

// How long a round waits for a record that is reserved and not yet committed. A producer takes less
// than a microsecond unless its CPU is taken away meanwhile; past this the rest goes on, and the
// record comes late.
constexpr std::uint64_t window_ns = 1'000'000;
// Looks at a busy record before other threads get the CPU.
constexpr int spins = 100;

// One thread writes, others read: no need for an atomic addition.
void count(std::atomic<std::uint64_t>& counter) {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

void Merge::add_ring(unsigned lane, const RingMemory& memory) {
  sources_.push_back({lane, RingCursor(memory)});
}

bool Merge::sound(unsigned lane, std::span<const std::byte> record) const {
  if (record.size() < sizeof(event_header)) return false;
  const auto& header = *reinterpret_cast<const event_header*>(record.data());
  return header.size == record.size() && header.lane == lane && header.type > 0 &&
         header.type < EVENT_TYPES && header.cpu < SequenceGaps::kMaxCpus;
}

bool Merge::wait_for_commit(Source& source, std::span<const std::byte>& record) {
  for (int looks = 0;; looks++) {
    const auto head = source.ring.peek(record);
    if (head != RingCursor::Head::busy) return head == RingCursor::Head::record;
    if (looks < spins) continue;
    if (clock_() - started_ns_ > window_ns) return false;
    sched_yield();
  }
}

void Merge::look(Source& source, const Budget& budget) {
  source.head = nullptr;
  for (;;) {
    if (taken_[source.lane] >= budget[source.lane]) {
      cut_[source.lane] = cut_[source.lane] || source.ring.waiting() > 0;
      return;
    }
    std::span<const std::byte> record;
    auto state = source.ring.peek(record);
    if (state == RingCursor::Head::busy && !wait_for_commit(source, record)) return;
    if (state == RingCursor::Head::none) return;
    if (!sound(source.lane, record)) {
      count(counters_[source.lane].malformed);
      source.ring.pop();
      continue;
    }
    const auto* header = reinterpret_cast<const event_header*>(record.data());
    // The next round's. A time that lies further ahead is no time, and must not block the ring.
    if (header->time_ns > started_ns_ && header->time_ns - started_ns_ < window_ns) return;
    source.head = header;
    return;
  }
}

void Merge::take(Source& source, Batch& batch) {
  const event_header& header = *source.head;
  const unsigned lane = source.lane;
  Counters& counters = counters_[lane];
  gaps_[lane].saw(header.cpu, header.sequence);
  count(counters.delivered[header.type]);
  // Host facts know more already than was true when this happened, or a consumer has seen what came
  // after it.
  if (header.time_ns < std::max(newest_before_ns_[lane], newest_before_ns_[LANE_LIFECYCLE]))
    count(counters.late);
  newest_ns_[lane] = std::max<std::uint64_t>(newest_ns_[lane], header.time_ns);
  taken_[lane] += header.size;
  batch.add({reinterpret_cast<const std::byte*>(&header), header.size});
  source.ring.pop();
}

void Merge::read(Batch& batch, const Budget& budget) {
  cut_ = {};
  taken_ = {};
  newest_before_ns_ = newest_ns_;
  // In this order: whatever was reserved before now lies before the marks.
  started_ns_ = clock_();
  for (Source& source : sources_) source.ring.mark();
  for (Source& source : sources_) look(source, budget);
  for (;;) {
    Source* oldest = nullptr;
    std::uint64_t next_ns = ~std::uint64_t{0};  // of the oldest record in any other ring
    for (Source& source : sources_) {
      if (!source.head) continue;
      if (!oldest || source.head->time_ns < oldest->head->time_ns) {
        if (oldest) next_ns = std::min<std::uint64_t>(next_ns, oldest->head->time_ns);
        oldest = &source;
      } else {
        next_ns = std::min<std::uint64_t>(next_ns, source.head->time_ns);
      }
    }
    if (!oldest) break;
    do {
      take(*oldest, batch);
      look(*oldest, budget);
    } while (oldest->head && oldest->head->time_ns <= next_ns);
  }
  for (Source& source : sources_) source.ring.release();
  for (unsigned lane = 0; lane < LANE_COUNT; lane++)
    counters_[lane].missing.store(gaps_[lane].settle(), std::memory_order_relaxed);
  // Two producers of one ring may reserve in one order and take the time in the other.
  batch.sort_by_time();
}

}  // namespace trivet::lanes
