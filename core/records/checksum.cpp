// SPDX-License-Identifier: Apache-2.0
#include "records/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace trivet {

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace trivet
