// SPDX-License-Identifier: Apache-2.0
// The checksum of trivet's own files. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace trivet {

// XXH3, 64 bits: finds damage, not forgery.
std::uint64_t checksum_of(std::span<const std::byte> bytes);

}  // namespace trivet
