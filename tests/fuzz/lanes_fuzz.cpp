// SPDX-License-Identifier: Apache-2.0
// Whatever bytes lie in two rings, the lifecycle lane's and one of bulk's: the merge takes sound
// records out of them and ends, and host facts take what comes. The first byte says how many
// eighths of the rest lie in the first ring.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "facts/host_facts.h"
#include "lanes/merge.h"

using namespace trivet;

namespace {

// A ring of which the kernel's side is written here.
class Memory {
 public:
  Memory(const std::uint8_t* data, std::size_t size)
      : produced_(consumed_ + (size & ~std::size_t{7})) {
    const std::size_t before_end = std::min(size, kBytes - consumed_);
    std::memcpy(data_.data() + consumed_, data, before_end);
    std::memcpy(data_.data(), data + before_end, size - before_end);
  }
  lanes::RingMemory memory() { return {&consumed_, &produced_, data_.data(), kBytes}; }
  bool consumed_too_much() const { return consumed_ > produced_; }

  static constexpr std::size_t kBytes = 64 << 10;

 private:
  std::uint64_t consumed_ = kBytes - 256;  // so that records cross the end
  std::uint64_t produced_;
  alignas(8) std::array<std::byte, kBytes> data_{};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1 || size - 1 > Memory::kBytes) return 0;
  const std::size_t first = (size - 1) * (data[0] % 9) / 8;
  Memory lifecycle(data + 1, first);
  Memory bulk(data + 1 + first, size - 1 - first);
  std::uint64_t now_ns = std::uint64_t{1} << 40;
  lanes::Merge merge([&now_ns] { return now_ns += 300'000; });
  merge.add_ring(LANE_LIFECYCLE, lifecycle.memory());
  merge.add_ring(LANE_BULK, bulk.memory());

  HostFacts facts("");
  for (int round = 0; round < 3; round++) {
    lanes::Batch batch;
    merge.read(batch, {SIZE_MAX, SIZE_MAX, 4096, 4096});
    std::uint64_t last_ns = 0;
    for (std::size_t i = 0; i < batch.size(); i++) {
      const auto& header = batch.header(i);
      if (header.time_ns < last_ns || batch.record(i).size() < sizeof(event_header)) std::abort();
      last_ns = header.time_ns;
      facts.apply(batch.record(i));
    }
  }
  if (lifecycle.consumed_too_much() || bulk.consumed_too_much()) std::abort();
  return 0;
}
