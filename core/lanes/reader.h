// SPDX-License-Identifier: Apache-2.0
// Takes events out of the four lanes and hands them on in time order. One thread calls run(); the
// counters may be read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "broker/client.h"
#include "event.h"
#include "lanes/batch.h"
#include "lanes/sequence_gaps.h"
#include "trivet/result.h"

struct ring_buffer;

namespace trivet::lanes {

// "lifecycle", "alert", "candidate", "bulk".
std::string_view lane_name(unsigned lane);

// What the kernel and the reader counted for one type in one lane.
struct TypeAccount {
  unsigned lane = 0;
  unsigned type = 0;
  lane_account kernel{};        // summed over CPUs
  std::uint64_t delivered = 0;  // read from the ring and well-formed
};

struct LaneCounters {
  std::uint64_t delivered = 0;
  std::uint64_t malformed = 0;  // a header that does not fit its record; dropped
  std::uint64_t missing = 0;    // gaps in the sequence numbers: equals the kernel's losses
};

// Within a round the lifecycle lane is read last: whatever exec came before an event of the round
// is in the same batch or an earlier one.
class LaneReader {
 public:
  using Handler = std::function<void(Batch&&)>;

  // `maps` are those of broker::Client::lanes(); one that is missing is an error. The handler is
  // called on the reader's thread, never with an empty batch.
  static Result<std::unique_ptr<LaneReader>> create(std::vector<broker::LoadedMap> maps,
                                                    Handler handler);
  ~LaneReader();

  // Reads until asked to stop, then once more what is there.
  void run(std::stop_token stop);
  // One round at once; how many events it handed on. Instead of run(), on the thread that owns it.
  std::size_t read_round();

  // Any thread.
  LaneCounters counters(unsigned lane) const;
  // Types of which nothing was offered or delivered are left out. Any thread.
  Result<std::vector<TypeAccount>> accounts() const;

 private:
  struct Lane {
    LaneReader* reader = nullptr;
    unsigned number = 0;
    UniqueFd map;
    ring_buffer* ring = nullptr;
    std::size_t round_bytes = 0;
    SequenceGaps gaps;
    std::atomic<std::uint64_t> malformed = 0;
    std::atomic<std::uint64_t> missing = 0;
    std::array<std::atomic<std::uint64_t>, EVENT_TYPES> delivered{};
  };
  explicit LaneReader(Handler handler) : handler_(std::move(handler)) {}
  static int take_record(void* lane, void* data, std::size_t size);
  bool take(Lane& lane, std::span<const std::byte> record);
  void drain(Lane& lane);
  // Whether the last round left something behind in a lane.
  bool was_cut() const;

  Handler handler_;
  std::array<Lane, LANE_COUNT> lanes_;
  UniqueFd accounts_;
  UniqueFd wake_;  // eventfd: asks run() to stop
  Batch batch_;
  std::size_t last_batch_bytes_ = 0;
};

}  // namespace trivet::lanes
