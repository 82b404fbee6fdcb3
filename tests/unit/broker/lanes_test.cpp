// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "lanes/batch.h"
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

}  // namespace

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
