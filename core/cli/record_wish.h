// SPDX-License-Identifier: Apache-2.0
// Options that say which records `trivet observe` shows: a test of any column, and Hubble's own
// names for those of flows. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "records/record_filter.h"

namespace trivet {

// An option that tests columns: `ip` is either end's address.
struct FilterOption {
  std::string name;
  std::string value;  // how help names it
  std::string help;
  // Each is columns that must all hold: the option's value where no other text is given.
  std::vector<std::vector<std::pair<std::string, std::string>>> alternatives;
  char letters = 0;  // 'u', 'l': the column's values are all upper or lower case
};
std::span<const FilterOption> filter_options();

// An option as it was given.
struct GivenOption {
  std::string name;
  std::vector<std::string> values;
};

// From the options in the order in which they were given: `where`, those of filter_options(),
// `not` before one of these, `since` and `until`. What is given twice holds for either value, as
// Hubble has it; all else must hold together. Error: what is wrong, for the command line.
Result<RecordWish> record_wish(const std::vector<GivenOption>& given, std::int64_t now_ns);

}  // namespace trivet
