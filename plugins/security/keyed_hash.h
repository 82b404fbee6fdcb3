// SPDX-License-Identifier: Apache-2.0
// SipHash-2-4 (Aumasson and Bernstein, 2012): a short hash under a secret key, for texts that an
// attacker chooses. Without the key nobody can make one text look like another. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace trivet::security {

using HashKey = std::array<std::uint64_t, 2>;

std::uint64_t keyed_hash(const HashKey& key, std::string_view text);

}  // namespace trivet::security
