// SPDX-License-Identifier: Apache-2.0
#include "security/rules/address_set.h"

#include <algorithm>
#include <charconv>

namespace trivet::security {
namespace {

// The first `bits` bits of an address, the others 0.
std::string network_of(const IpAddress& address, unsigned bits) {
  std::string out;
  for (unsigned bit = 0; bit < bits; bit += 8) {
    unsigned kept = std::min(8u, bits - bit);
    out += static_cast<char>(address.bytes[bit / 8] & 0xff << (8 - kept));
  }
  return out;
}

unsigned longest_prefix(const IpAddress& address) {
  return address.family == 4 ? 32 : 128;
}

}  // namespace

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
  auto slash = text.find('/');
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  unsigned bits = longest_prefix(*address);
  if (slash != text.npos) {
    auto digits = text.substr(slash + 1);
    unsigned wanted = 0;
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), wanted);
    if (error != std::errc() || end != digits.data() + digits.size() || wanted > bits) {
      return std::nullopt;
    }
    bits = wanted;
  }
  return AddressRange{*address, bits};
}

bool AddressRange::contains(const IpAddress& address) const {
  return address.family == base.family && address.family != 0 &&
         network_of(address, bits) == network_of(base, bits);
}

void AddressSet::add(const AddressRange& range) {
  networks_[{range.base.family, range.bits}].insert(network_of(range.base, range.bits));
}

bool AddressSet::contains(const IpAddress& address) const {
  return std::ranges::any_of(networks_, [&](const auto& entry) {
    const auto& [family, bits] = entry.first;
    return family == address.family && entry.second.contains(network_of(address, bits));
  });
}

}  // namespace trivet::security
