// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "trivet/value.h"

namespace trivet {
namespace {

// ::ffff:0:0/96 (RFC 4291, 2.5.5.2).
constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

IpAddress IpAddress::v4(const void* four_bytes) {
  IpAddress address{.family = 4};
  std::memcpy(address.bytes.data(), four_bytes, 4);
  return address;
}

IpAddress IpAddress::v6(const void* sixteen_bytes) {
  auto bytes = static_cast<const std::uint8_t*>(sixteen_bytes);
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes)) {
    return v4(bytes + kMappedPrefix.size());
  }
  IpAddress address{.family = 6};
  std::memcpy(address.bytes.data(), bytes, 16);
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof(buffer) || text.find('\0') != text.npos) return std::nullopt;
  text.copy(buffer, text.size());
  buffer[text.size()] = '\0';

  std::uint8_t bytes[16];
  if (inet_pton(AF_INET, buffer, bytes) == 1) return v4(bytes);
  if (inet_pton(AF_INET6, buffer, bytes) == 1) return v6(bytes);
  return std::nullopt;
}

std::string IpAddress::to_string() const {
  if (family == 0) return {};
  if (family == 4) {
    char text[INET_ADDRSTRLEN];
    return inet_ntop(AF_INET, bytes.data(), text, sizeof(text));
  }

  // Written out, since glibc's inet_ntop abbreviates a single zero group (RFC 5952, 4.2.2 forbids
  // it) and prints ::/96 addresses with dots.
  std::array<unsigned, 8> groups;
  for (std::size_t i = 0; i < 8; ++i) groups[i] = bytes[2 * i] << 8 | bytes[2 * i + 1];
  std::size_t best = 8, best_length = 1;
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    i = std::max(end, i + 1);
  }

  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      text += "::";
      i += best_length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    char group[5];
    std::snprintf(group, sizeof(group), "%x", groups[i]);
    text += group;
  }
  return text;
}

}  // namespace trivet
