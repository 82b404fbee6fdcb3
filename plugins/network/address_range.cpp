// SPDX-License-Identifier: Apache-2.0
#include "network/address_range.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

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

// The types that people write by name, as IANA's registries spell them.
constexpr std::tuple<std::string_view, std::uint16_t, std::uint16_t> kIcmpTypes[] = {
    {"echo-reply", 0, 129},   {"destination-unreachable", 3, 1}, {"echo-request", 8, 128},
    {"time-exceeded", 11, 3}, {"parameter-problem", 12, 4},      {"timestamp-request", 13, 256},
};

std::optional<unsigned> icmp_type(std::string_view text, bool v6) {
  for (const auto& [name, type4, type6] : kIcmpTypes) {
    const unsigned type = v6 ? type6 : type4;
    if (name == text && type < 256) return type;
  }
  return number(text, 255);
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

namespace {

Result<Service> with_type(Service service, std::string_view text, std::string_view type) {
  const bool v6 = service.protocol == IPPROTO_ICMPV6;
  const auto found = icmp_type(type, v6);
  if (!found) {
    return Error{quoted(text) +
                 " has an unknown type: write a number up to 255 or a name such as " +
                 (v6 ? "icmpv6" : "icmp") + "/echo-request"};
  }
  service.low = service.high = static_cast<std::uint16_t>(*found);
  return service;
}

Result<Service> with_protocol(Service service, std::string_view text, std::string_view protocol) {
  const auto found = number(protocol, 254);
  if (!found || *found == 0) {
    return Error{quoted(text) +
                 " names no protocol: write its number, from 1 to 254, such as "
                 "ip/132 for SCTP"};
  }
  service.protocol = static_cast<std::uint8_t>(*found);
  return service;
}

Result<Service> with_ports(Service service, std::string_view text, std::string_view ports) {
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

}  // namespace

Result<Service> parse_service(std::string_view text) {
  static constexpr std::pair<std::string_view, std::uint8_t> kProtocols[] = {
      {"any", 0},
      {"tcp", IPPROTO_TCP},
      {"udp", IPPROTO_UDP},
      {"icmp", IPPROTO_ICMP},
      {"icmpv6", IPPROTO_ICMPV6}};
  const auto slash = text.find('/');
  const auto name = text.substr(0, slash);
  const bool bare = slash == std::string_view::npos;
  const auto rest = bare ? std::string_view() : text.substr(slash + 1);
  if (name == "ip" && !bare) return with_protocol({}, text, rest);
  const auto* known =
      std::ranges::find(kProtocols, name, [](const auto& row) { return row.first; });
  if (known == std::end(kProtocols) || (known->second == 0 && !bare)) {
    return Error{quoted(text) +
                 " names no protocol: write tcp or udp with a port, such as tcp/443 or "
                 "tcp/8000-8099, icmp or icmpv6 with a type, ip/NUMBER, or any"};
  }
  const Service service{known->second};
  if (bare) return service;
  const bool icmp = service.protocol == IPPROTO_ICMP || service.protocol == IPPROTO_ICMPV6;
  return icmp ? with_type(service, text, rest) : with_ports(service, text, rest);
}

}  // namespace trivet::network
