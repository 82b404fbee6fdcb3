// SPDX-License-Identifier: Apache-2.0
// Where a server listens, as configuration writes it.
#pragma once

#include <cstdint>
#include <string>

#include "trivet/result.h"
#include "trivet/value.h"

namespace trivet {

struct ListenAddress {
  IpAddress address;
  std::uint16_t port = 0;  // 0: a free one

  // "127.0.0.1:9435" or "[::1]:9435" (RFC 3986, 3.2.2, for the brackets). Names are not resolved.
  static Result<ListenAddress> parse(const std::string& text);
  std::string to_string() const;
  bool operator==(const ListenAddress&) const = default;
};

}  // namespace trivet
