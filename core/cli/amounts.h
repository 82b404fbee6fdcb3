// SPDX-License-Identifier: Apache-2.0
// Times and sizes as people write them. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace trivet {

// "30s", "5m", "2h", at most 1000 hours; nothing where the text is none such.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);
// Bytes: "65536", "64K", "256M", "1G", by powers of 1024.
std::optional<std::uint64_t> parse_size(std::string_view text);

}  // namespace trivet
