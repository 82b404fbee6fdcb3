// SPDX-License-Identifier: Apache-2.0
#include "network/address_range.h"

#include <netinet/in.h>

#include <charconv>
#include <optional>

#include "trivet/value.h"

namespace trivet::network {

namespace {

constexpr std::uint8_t kMappedPrefix = 96;

// A decimal number without sign, at most `most`.
std::optional<unsigned> number(std::string_view text, unsigned most) {
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

std::array<std::uint8_t, 16> mapped(const IpAddress& ip) {
  if (ip.family != 4) return ip.bytes;
  std::array<std::uint8_t, 16> address{};
  address[10] = address[11] = 0xff;
  for (int i = 0; i < 4; ++i) address[12 + i] = ip.bytes[i];
  return address;
}

// Sets the bits behind the prefix to 0.
void mask(AddressRange& range) {
  for (int bit = range.prefix; bit < 128; ++bit) {
    range.address[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
  }
}

std::string quoted(std::string_view text) {
  return '"' + std::string(text) + '"';
}

// The range as a person writes it; IPv4 without the mapping.
std::string to_string(const AddressRange& range, bool v4) {
  IpAddress address = IpAddress::v6(range.address.data());
  return address.to_string() + "/" +
         std::to_string(v4 ? range.prefix - kMappedPrefix : range.prefix);
}

}  // namespace

Result<AddressRange> parse_address_range(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address || address->family == 0) {
    return Error{quoted(text) +
                 " is not an address range: write one such as 10.0.0.0/8, 192.0.2.7 or "
                 "2001:db8::/32"};
  }
  // A mapped address that was written as IPv6 has a prefix of 128 bits.
  const bool mapped_text = address->family == 4 && text.find(':') != std::string_view::npos;
  const bool v4 = address->family == 4 && !mapped_text;
  const unsigned bits = v4 ? 32 : 128;
  unsigned prefix = bits;
  if (slash != std::string_view::npos) {
    const auto written = number(text.substr(slash + 1), bits);
    if (!written) {
      return Error{quoted(text) + " has a bad prefix length: " + (v4 ? "an IPv4" : "an IPv6") +
                   " range takes 0 to " + std::to_string(bits)};
    }
    prefix = *written;
  }
  AddressRange range{mapped(*address), static_cast<std::uint8_t>(prefix + (v4 ? kMappedPrefix : 0)),
                     6};
  if (v4 || (mapped_text && range.prefix >= kMappedPrefix)) range.family = 4;
  AddressRange block = range;
  mask(block);
  if (block != range) {
    return Error{quoted(text) + " has address bits behind its prefix: write " +
                 to_string(block, v4) + " for the whole range, or the address alone"};
  }
  return range;
}

Result<Service> parse_service(std::string_view text) {
  const auto slash = text.find('/');
  const auto name = text.substr(0, slash);
  Service service;
  if (name == "any" && slash == std::string_view::npos) return service;
  if (name == "tcp") {
    service.protocol = IPPROTO_TCP;
  } else if (name == "udp") {
    service.protocol = IPPROTO_UDP;
  } else {
    return Error{quoted(text) +
                 " names no protocol: write tcp or udp with a port, such as tcp/443 or "
                 "tcp/8000-8099, or leave it out for any"};
  }
  if (slash == std::string_view::npos) return service;
  const auto ports = text.substr(slash + 1);
  const auto dash = ports.find('-');
  const auto low = number(ports.substr(0, dash), 65535);
  const auto high = dash == std::string_view::npos ? low : number(ports.substr(dash + 1), 65535);
  if (!low || !high || *low == 0) {
    return Error{quoted(text) + " has a bad port: ports go from 1 to 65535, such as tcp/443 or " +
                 "tcp/8000-8099"};
  }
  if (*low > *high) {
    return Error{quoted(text) + " has its ports the wrong way round: write the lower one first"};
  }
  service.low = static_cast<std::uint16_t>(*low);
  service.high = static_cast<std::uint16_t>(*high);
  return service;
}

}  // namespace trivet::network
