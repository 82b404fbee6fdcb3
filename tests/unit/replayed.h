// SPDX-License-Identifier: Apache-2.0
// Records that a plugin makes of tests/unit/data/deeds.cap, a capture of real deeds: a shell of a
// shell that opened /etc/gshadow, and a request of curl's to nginx. Of the rest of the host nothing
// was kept, and its name and clock were changed.
#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "capture/replay.h"
#include "fake_host.h"

namespace trivet {

template <class R>
std::vector<R> replayed_deeds(const std::string& name, std::unique_ptr<Plugin> plugin) {
  std::ifstream file(TRIVET_SOURCE_DIR "/tests/unit/data/deeds.cap", std::ios::binary);
  FakeLog log;
  auto replay = Replay::open(file, log);
  REQUIRE(replay);
  FakeFiles files;
  std::string table;
  for (const auto& one : (*replay)->configuration().plugins) {
    if (one.name == name) table = one.toml;
    files.texts.insert(one.files.texts.begin(), one.files.texts.end());
  }
  const auto config = parse_toml("/etc/trivet/trivet.toml", table, files);
  REQUIRE(config);
  REQUIRE(plugin->configure(**config));
  REQUIRE((*replay)->add(name, std::move(plugin)));
  std::vector<R> records;
  REQUIRE((*replay)->run([&](const RecordSchema& schema, const void* record) {
    if (schema.table == R::schema().table) records.push_back(*static_cast<const R*>(record));
    return true;
  }));
  CHECK((*replay)->report().end);
  CHECK((*replay)->report().malformed == 0);
  return records;
}

}  // namespace trivet
