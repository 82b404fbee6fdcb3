// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <vector>

#include "lanes/batch.h"
#include "lanes/merge.h"
#include "lanes/sequence_gaps.h"

using namespace trivet::lanes;

namespace {

std::vector<std::byte> record(std::uint64_t time_ns, std::uint16_t type, std::size_t tail) {
  event_header header{};
  header.size = static_cast<std::uint32_t>(sizeof(header) + tail);
  header.type = type;
  header.time_ns = time_ns;
  std::vector<std::byte> bytes(header.size, std::byte{0x5a});
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

// A ring as the kernel writes it: see kernel/bpf/ringbuf.c.
class FakeRing {
 public:
  explicit FakeRing(lane of) : lane_(of) {}
  RingMemory memory() { return {&consumed_, &produced_, data_.data(), kBytes}; }
  // Answers the place of the record's head, for commit().
  std::size_t put(std::uint64_t time_ns, std::uint32_t flags = 0) {
    event_header header{};
    header.size = sizeof(header);
    header.type = 1;
    header.lane = static_cast<std::uint8_t>(lane_);
    header.time_ns = time_ns;
    header.sequence = sequence_++;
    const std::size_t place = produced_ % kBytes;
    set(place, static_cast<std::uint32_t>(sizeof(header)) | flags);
    for (std::size_t i = 0; i < sizeof(header); i++)
      data_[(place + 8 + i) % kBytes] = reinterpret_cast<const std::byte*>(&header)[i];
    produced_ += 8 + sizeof(header);
    return place;
  }
  void commit(std::size_t place) { set(place, sizeof(event_header)); }
  std::uint64_t unread() const { return produced_ - consumed_; }

  static constexpr std::uint32_t kBusy = 1u << 31;
  static constexpr std::uint32_t kDiscarded = 1u << 30;

 private:
  static constexpr std::size_t kBytes = 4096;
  void set(std::size_t place, std::uint32_t length) {
    std::memcpy(&data_[place], &length, sizeof(length));
  }
  lane lane_;
  std::uint64_t consumed_ = 0;
  std::uint64_t produced_ = 0;
  std::uint64_t sequence_ = 0;
  alignas(8) std::array<std::byte, kBytes> data_{};
};

std::vector<std::uint64_t> read(Merge& merge,
                                Merge::Budget budget = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX}) {
  Batch batch;
  merge.read(batch, budget);
  std::vector<std::uint64_t> times;
  for (std::size_t i = 0; i < batch.size(); i++) times.push_back(batch.header(i).time_ns);
  return times;
}

}  // namespace

using Times = std::vector<std::uint64_t>;

TEST_CASE("rings are merged by time, and what is newer than the round's start stays for the next") {
  FakeRing lifecycle(LANE_LIFECYCLE), first(LANE_BULK), second(LANE_BULK);
  std::uint64_t now = 100;
  Merge merge([&] { return now; });
  merge.add_ring(LANE_LIFECYCLE, lifecycle.memory());
  merge.add_ring(LANE_BULK, first.memory());
  merge.add_ring(LANE_BULK, second.memory());
  for (const std::uint64_t time : {10, 40, 120}) first.put(time);
  for (const std::uint64_t time : {20, 30, 101}) second.put(time);
  lifecycle.put(25);
  CHECK(read(merge) == Times{10, 20, 25, 30, 40});
  now = 130;
  CHECK(read(merge) == Times{101, 120});
  CHECK(first.unread() + second.unread() + lifecycle.unread() == 0);
  CHECK(merge.counters(LANE_BULK).late == 0);
  for (int i = 0; i < 500; i++) {  // around the ring's end many times
    first.put(200 + static_cast<std::uint64_t>(i));
    now = 1000;
    CHECK(read(merge) == Times{200 + static_cast<std::uint64_t>(i)});
  }
}

TEST_CASE(
    "a record that is not committed holds its round up, for a while, and is late after that") {
  FakeRing lifecycle(LANE_LIFECYCLE), bulk(LANE_BULK);
  std::uint64_t now = 1'000'000'000;
  std::size_t busy = 0;
  bool commits = true;
  int looks = 0;
  Merge merge([&] {
    if (commits && ++looks == 3) lifecycle.commit(busy);
    return now += 100'000;
  });
  merge.add_ring(LANE_LIFECYCLE, lifecycle.memory());
  merge.add_ring(LANE_BULK, bulk.memory());
  busy = lifecycle.put(10, FakeRing::kBusy);
  bulk.put(20);
  CHECK(read(merge) == Times{10, 20});

  commits = false;
  busy = lifecycle.put(30, FakeRing::kBusy);
  lifecycle.put(31, FakeRing::kDiscarded);
  lifecycle.put(50);
  bulk.put(40);
  CHECK(read(merge) == Times{40});
  lifecycle.commit(busy);
  CHECK(read(merge) == Times{30, 50});
  bulk.put(45);
  CHECK(read(merge) == Times{45});
  CHECK(merge.counters(LANE_LIFECYCLE).late == 0);
  CHECK(merge.counters(LANE_BULK).late == 1);
}

TEST_CASE("a lane over its budget waits in its ring, and the others go on") {
  FakeRing alert(LANE_ALERT), bulk(LANE_BULK);
  Merge merge([] { return std::uint64_t{1000}; });
  merge.add_ring(LANE_ALERT, alert.memory());
  merge.add_ring(LANE_BULK, bulk.memory());
  for (const std::uint64_t time : {1, 2, 3, 4}) bulk.put(time);
  alert.put(9);
  Merge::Budget budget = {SIZE_MAX, SIZE_MAX, SIZE_MAX, 2 * sizeof(event_header)};
  CHECK(read(merge, budget) == Times{1, 2, 9});
  CHECK(merge.was_cut(LANE_BULK));
  CHECK_FALSE(merge.was_cut(LANE_ALERT));
  CHECK(read(merge, budget) == Times{3, 4});
  CHECK_FALSE(merge.was_cut(LANE_BULK));
}

TEST_CASE("a batch keeps records whole and hands them out by time, then as they came") {
  Batch batch;
  batch.add(record(30, 1, 3));
  batch.add(record(10, 2, 0));
  batch.add(record(20, 3, 4096));
  batch.add(record(10, 4, 1));
  batch.sort_by_time();
  std::vector<int> types;
  for (std::size_t i = 0; i < batch.size(); i++) {
    types.push_back(batch.header(i).type);
    CHECK(reinterpret_cast<std::uintptr_t>(batch.record(i).data()) % 8 == 0);
    CHECK(batch.record(i).size() == batch.header(i).size);
  }
  CHECK(types == std::vector<int>{2, 4, 3, 1});
  CHECK(batch.record(2).back() == std::byte{0x5a});
}

TEST_CASE("a record that overtook another is no loss, one that never comes is") {
  SequenceGaps gaps;
  gaps.saw(0, 0);
  gaps.saw(0, 2);  // 1 is still on its way
  CHECK(gaps.settle() == 0);
  gaps.saw(0, 1);
  CHECK(gaps.settle() == 0);
  CHECK(gaps.settle() == 0);
  gaps.saw(0, 6);  // 3, 4, 5 are lost
  gaps.saw(1, 1);  // and the first of another CPU
  gaps.settle();
  CHECK(gaps.settle() == 4);
  gaps.saw(1, 2);
  CHECK(gaps.settle() == 4);
}
