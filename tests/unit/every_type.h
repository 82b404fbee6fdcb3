// SPDX-License-Identifier: Apache-2.0
// A record with a column of every type that there is, for tests of what keeps records.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trivet/record.h"

namespace trivet {

#define TRIVET_EVERY_TYPE_COLUMNS(X, R)                                       \
  X(R, ::trivet::Time, time, nanoseconds, always, "", "A moment")             \
  X(R, std::uint64_t, id, none, always, "", "Counts up")                      \
  X(R, bool, flag, none, detail, "", "Yes or no")                             \
  X(R, std::int32_t, small, none, detail, "", "A signed number")              \
  X(R, std::uint64_t, large, none, detail, "", "A large number")              \
  X(R, std::optional<std::uint16_t>, maybe, none, detail, "", "Or no number") \
  X(R, double, real, none, detail, "", "A real number")                       \
  X(R, std::optional<double>, maybe_real, none, detail, "", "Or none")        \
  X(R, ::trivet::Duration, took, nanoseconds, detail, "", "A span of time")   \
  X(R, std::string, text, none, detail, "", "A text")                         \
  X(R, std::optional<std::string>, maybe_text, none, detail, "", "Or none")   \
  X(R, ::trivet::IpAddress, address, none, detail, "", "An address, or none") \
  X(R, std::vector<std::string>, texts, none, detail, "", "A list")           \
  X(R, ::trivet::Fields, fields, none, detail, "", "Named values")

TRIVET_RECORD(EveryType, "every_types", 1, "One column of each type", TRIVET_EVERY_TYPE_COLUMNS);

// The row of that number: values of all sizes, some of them absent.
inline EveryType every_type(std::uint64_t id) {
  EveryType row;
  const std::uint64_t mixed = id * 0x9E3779B97F4A7C15ull;
  row.time.boot_ns = 1'000'000'000 * id;
  row.id = id;
  row.flag = mixed % 3 == 0;
  row.small = static_cast<std::int32_t>(id % 7) - 3;
  row.large = mixed;
  if (id % 3 != 0) row.maybe = static_cast<std::uint16_t>(mixed);
  row.real = static_cast<double>(id) / 7;
  if (id % 2 != 0) row.maybe_real = -1e300;
  row.took.ns = -static_cast<std::int64_t>(id);
  row.text = "text " + std::to_string(id % 5);
  if (id % 4 == 0) row.maybe_text = std::string(id % 1000, '\xff') + '\0';
  if (id % 5 != 0) row.address = *IpAddress::parse(id % 2 == 0 ? "192.0.2.7" : "2001:db8::7");
  if (id % 2 == 0) row.texts = {"a", "", std::to_string(id)};
  row.fields.items = {{"x", true},
                      {"y", -1.5},
                      {"", std::string("\0z", 2)},
                      {"u", ~std::uint64_t{0}},
                      {"i", std::int64_t{-1}},
                      {"n", {}}};
  return row;
}

}  // namespace trivet
