// SPDX-License-Identifier: Apache-2.0
// The types that a record's columns may have, and the one variant that everything generic (JSON,
// tables, metric labels, rules) reads a column through.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "trivet/api.h"

namespace trivet {

// A moment on CLOCK_BOOTTIME, the one clock of all events. Turned into wall-clock time only where
// it is shown.
struct Time {
  std::uint64_t boot_ns = 0;
  auto operator<=>(const Time&) const = default;
};

// A span of time in nanoseconds.
struct Duration {
  std::int64_t ns = 0;
  auto operator<=>(const Duration&) const = default;
};

// An IPv4 or IPv6 address in network byte order; family 0 means none.
struct TRIVET_API IpAddress {
  std::uint8_t family = 0;  // 0, 4 or 6
  std::array<std::uint8_t, 16> bytes{};

  static IpAddress v4(const void* four_bytes);
  // IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2) become IPv4.
  static IpAddress v6(const void* sixteen_bytes);
  static std::optional<IpAddress> parse(std::string_view text);
  // RFC 5952 text; empty for none.
  std::string to_string() const;
  auto operator<=>(const IpAddress&) const = default;
};

struct Fields;

// What a column holds, seen generically. monostate: no value (SQL NULL, JSON null). Views live as
// long as the record.
using Value =
    std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string_view, Time,
                 Duration, IpAddress, std::span<const std::string>, const Fields*>;

// A scalar that owns its text: the value of a named field in Fields.
using Scalar = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string>;

// Named values in the order in which they are shown: rule output fields, protocol headers.
struct Fields {
  std::vector<std::pair<std::string, Scalar>> items;
  auto operator<=>(const Fields&) const = default;
};

// The Value of any type that a column may have.
inline Value as_value(bool v) {
  return v;
}
inline Value as_value(std::int32_t v) {
  return static_cast<std::int64_t>(v);
}
inline Value as_value(std::int64_t v) {
  return v;
}
inline Value as_value(std::uint16_t v) {
  return static_cast<std::uint64_t>(v);
}
inline Value as_value(std::uint32_t v) {
  return static_cast<std::uint64_t>(v);
}
inline Value as_value(std::uint64_t v) {
  return v;
}
inline Value as_value(double v) {
  return v;
}
inline Value as_value(const std::string& v) {
  return std::string_view(v);
}
inline Value as_value(Time v) {
  return v;
}
inline Value as_value(Duration v) {
  return v;
}
inline Value as_value(const IpAddress& v) {
  return v.family ? Value(v) : Value();
}
inline Value as_value(const std::vector<std::string>& v) {
  return std::span<const std::string>(v);
}
inline Value as_value(const Fields& v) {
  return &v;
}
template <class T>
Value as_value(const std::optional<T>& v) {
  return v ? as_value(*v) : Value();
}

// The way back: sets a column from a Value that as_value() made of it. One of another type changes
// nothing.
template <class T>
void from_value(const Value& value, T& to) {
  if constexpr (std::is_same_v<T, std::string>) {
    if (auto text = std::get_if<std::string_view>(&value)) to = *text;
  } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    if (auto texts = std::get_if<std::span<const std::string>>(&value)) {
      to.assign(texts->begin(), texts->end());
    }
  } else if constexpr (std::is_same_v<T, Fields>) {
    if (auto fields = std::get_if<const Fields*>(&value)) to = **fields;
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    if (auto number = std::get_if<std::int64_t>(&value)) to = static_cast<T>(*number);
    if (auto number = std::get_if<std::uint64_t>(&value)) to = static_cast<T>(*number);
  } else {
    if (auto same = std::get_if<T>(&value)) to = *same;
  }
}
template <class T>
void from_value(const Value& value, std::optional<T>& to) {
  to.reset();
  if (!std::holds_alternative<std::monostate>(value)) from_value(value, to.emplace());
}

// The column types by name, as schemas are printed.
enum class ColumnType { boolean, integer, number, text, time, duration, address, texts, fields };

template <class T>
struct column_type_of;
#define TRIVET_COLUMN_TYPE(cpp, kind)                     \
  template <>                                             \
  struct column_type_of<cpp> {                            \
    static constexpr ColumnType value = ColumnType::kind; \
  }
TRIVET_COLUMN_TYPE(bool, boolean);
TRIVET_COLUMN_TYPE(std::int32_t, integer);
TRIVET_COLUMN_TYPE(std::int64_t, integer);
TRIVET_COLUMN_TYPE(std::uint16_t, integer);
TRIVET_COLUMN_TYPE(std::uint32_t, integer);
TRIVET_COLUMN_TYPE(std::uint64_t, integer);
TRIVET_COLUMN_TYPE(double, number);
TRIVET_COLUMN_TYPE(std::string, text);
TRIVET_COLUMN_TYPE(Time, time);
TRIVET_COLUMN_TYPE(Duration, duration);
TRIVET_COLUMN_TYPE(IpAddress, address);
TRIVET_COLUMN_TYPE(std::vector<std::string>, texts);
TRIVET_COLUMN_TYPE(Fields, fields);
#undef TRIVET_COLUMN_TYPE
template <class T>
struct column_type_of<std::optional<T>> : column_type_of<T> {};

}  // namespace trivet
