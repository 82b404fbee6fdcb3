// SPDX-License-Identifier: Apache-2.0
#include "config/listen_address.h"

#include <charconv>

namespace trivet {

Result<ListenAddress> ListenAddress::parse(const std::string& text) {
  const Error wrong{"\"" + text +
                    "\" is no address and port: write for example 127.0.0.1:9435 or [::1]:9435"};
  const std::size_t colon = text.rfind(':');
  if (colon == text.npos) return wrong;
  std::string host = text.substr(0, colon);
  const std::string port_text = text.substr(colon + 1);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  if (!address || brackets != (address->family == 6)) return wrong;
  unsigned port = 0;
  const auto* end = port_text.data() + port_text.size();
  const auto parsed = std::from_chars(port_text.data(), end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end || port > 65535) return wrong;
  return ListenAddress{*address, static_cast<std::uint16_t>(port)};
}

std::string ListenAddress::to_string() const {
  const std::string host = address.to_string();
  return (address.family == 6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace trivet
