// SPDX-License-Identifier: Apache-2.0
// Networks and single addresses, by hash: one look-up for each length of prefix among them.
// Immutable once filled; any thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "trivet/value.h"

namespace trivet::security {

// Addresses that share their first `bits` bits with `base`.
struct AddressRange {
  IpAddress base;
  unsigned bits = 0;

  // "192.0.2.0/24", "::1"; nothing if it is neither.
  static std::optional<AddressRange> parse(std::string_view text);
  bool contains(const IpAddress& address) const;
};

class AddressSet {
 public:
  void add(const AddressRange& range);
  bool contains(const IpAddress& address) const;

 private:
  // By family and bits: the bytes of the networks.
  std::map<std::pair<unsigned, unsigned>, std::unordered_set<std::string>> networks_;
};

}  // namespace trivet::security
