// SPDX-License-Identifier: Apache-2.0
#include "broker/cpu_groups.h"

#include <doctest/doctest.h>

using namespace trivet::broker;

TEST_CASE("groups are of four CPUs that are online, sixteen at most") {
  struct Row {
    const char* possible;
    const char* online;
    std::uint32_t cpus;
    std::uint32_t groups;
  };
  for (const Row& row :
       {Row{"0-1", "0-1\n", 2, 1}, Row{"0", "0", 1, 1}, Row{"0-7", "0-7", 8, 2},
        Row{"0-127", "0-1", 128, 1}, Row{"0-8", "0-8", 9, 3}, Row{"0-511", "0-511", 512, 16},
        Row{"0-7", "0,2,4-6", 8, 2}, Row{"", "", 1, 1}, Row{"nonsense", "3-", 1, 1},
        Row{"0-99999999", "0-3", 4, 1}}) {
    CAPTURE(row.possible);
    CAPTURE(row.online);
    const auto groups = group_cpus(row.possible, row.online);
    CHECK(groups.group_of.size() == row.cpus);
    CHECK(groups.count == row.groups);
    for (const auto group : groups.group_of) CHECK(group < groups.count);
  }
}

TEST_CASE("neighbours share a ring, and every ring has CPUs") {
  const auto groups = group_cpus("0-9", "0-8");
  CHECK(groups.group_of == std::vector<std::uint32_t>{0, 0, 0, 1, 1, 1, 2, 2, 2, 0});
}

TEST_CASE("the rings together hold no more than one would") {
  CHECK(shard_bytes(32 << 20, 1) == 32 << 20);
  CHECK(shard_bytes(32 << 20, 3) == 8 << 20);
  CHECK(shard_bytes(32 << 20, 16) == 2 << 20);
}
