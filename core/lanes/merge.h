// SPDX-License-Identifier: Apache-2.0
// Merges the rings of all lanes into one batch in time order. What is newer than the round's start
// stays in its ring, so that the next round's events are never older than this one's; nothing is
// held back in memory of ours. Reader thread; its counters may be read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "event.h"
#include "lanes/batch.h"
#include "lanes/ring.h"
#include "lanes/sequence_gaps.h"

namespace trivet::lanes {

class Merge {
 public:
  // Bytes that a round may take of each lane.
  using Budget = std::array<std::size_t, LANE_COUNT>;

  // CLOCK_BOOTTIME in ns.
  using Clock = std::function<std::uint64_t()>;
  explicit Merge(Clock clock) : clock_(std::move(clock)) {}

  // A ring that carries that lane.
  void add_ring(unsigned lane, const RingMemory& memory);

  // Takes what was committed before now, in time order and within the budget. Waits for records
  // that a producer is about to commit, but not for long.
  void read(Batch& batch, const Budget& budget);

  // Whether the last round left records of that lane behind for lack of budget.
  bool was_cut(unsigned lane) const { return cut_[lane]; }
  // Bytes that the last round took of that lane.
  std::size_t taken(unsigned lane) const { return taken_[lane]; }

  struct Counters {
    std::atomic<std::uint64_t> malformed = 0;
    std::atomic<std::uint64_t> missing = 0;
    std::atomic<std::uint64_t> late = 0;
    std::array<std::atomic<std::uint64_t>, EVENT_TYPES> delivered{};
  };
  const Counters& counters(unsigned lane) const { return counters_[lane]; }

 private:
  struct Source {
    unsigned lane;
    RingCursor ring;
    const event_header* head = nullptr;  // the next record; null where there is none for this round
  };

  // Finds the source's next record.
  void look(Source& source, const Budget& budget);
  bool sound(unsigned lane, std::span<const std::byte> record) const;
  bool wait_for_commit(Source& source, std::span<const std::byte>& record);
  void take(Source& source, Batch& batch);

  const Clock clock_;
  std::vector<Source> sources_;
  std::uint64_t started_ns_ = 0;  // of this round
  std::array<bool, LANE_COUNT> cut_{};
  std::array<std::size_t, LANE_COUNT> taken_{};
  std::array<SequenceGaps, LANE_COUNT> gaps_;
  std::array<std::uint64_t, LANE_COUNT> newest_ns_{};         // of this round and those before
  std::array<std::uint64_t, LANE_COUNT> newest_before_ns_{};  // of the rounds before
  std::array<Counters, LANE_COUNT> counters_;
};

}  // namespace trivet::lanes
