// SPDX-License-Identifier: Apache-2.0
#include "cli/amounts.h"

#include <charconv>
#include <limits>
#include <utility>

namespace trivet {
namespace {

constexpr std::uint64_t kMaxSeconds = 3'600'000;

// A whole number and what is behind it.
std::optional<std::pair<std::uint64_t, std::string_view>> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return std::pair(value, text.substr(static_cast<std::size_t>(end - text.data())));
}

}  // namespace

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  const auto parsed = number(text);
  if (!parsed) return std::nullopt;
  const auto& [value, unit] = *parsed;
  const std::uint64_t each = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  if (each == 0 || value == 0 || value > kMaxSeconds / each) return std::nullopt;
  return std::chrono::seconds(value * each);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto parsed = number(text);
  if (!parsed) return std::nullopt;
  const auto& [value, unit] = *parsed;
  const int shift = unit.empty() ? 0 : unit == "K" ? 10 : unit == "M" ? 20 : unit == "G" ? 30 : -1;
  if (shift < 0 || value > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
  return value << shift;
}

}  // namespace trivet
