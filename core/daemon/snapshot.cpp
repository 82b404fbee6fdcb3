// SPDX-License-Identifier: Apache-2.0
#include "daemon/snapshot.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "event.h"

namespace trivet {

namespace {

// A record is at most this long: read() hands over whole ones only into a larger buffer.
constexpr std::size_t kBuffer = 256 << 10;

}  // namespace

Result<void> read_snapshot(int pass, const char* what,
                           const std::function<void(std::span<const std::byte>)>& take) {
  std::vector<std::byte> buffer(kBuffer);
  std::size_t filled = 0;
  for (;;) {
    const auto got = ::read(pass, buffer.data() + filled, buffer.size() - filled);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return system_error(errno, std::string("cannot read the ") + what);
    if (got == 0) return {};
    filled += static_cast<std::size_t>(got);
    std::size_t used = 0;
    while (filled - used >= sizeof(event_header)) {
      event_header header;
      std::memcpy(&header, buffer.data() + used, sizeof(header));
      if (header.size < sizeof(event_header) || header.size > buffer.size())
        return Error{std::string("the iterator of ") + what + " wrote a record of a wrong size"};
      if (header.size > filled - used) break;
      // The kernel writes records end to end; a copy is aligned as their structs need it.
      const auto start = buffer.begin() + static_cast<std::ptrdiff_t>(used);
      const std::vector<std::byte> record(start, start + header.size);
      take(record);
      used += header.size;
    }
    std::copy(buffer.begin() + static_cast<std::ptrdiff_t>(used),
              buffer.begin() + static_cast<std::ptrdiff_t>(filled), buffer.begin());
    filled -= used;
  }
}

}  // namespace trivet
