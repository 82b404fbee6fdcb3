// SPDX-License-Identifier: Apache-2.0
// The operators of conditions: one table with the name, what stands on the right, and the meaning.
// Static data; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace trivet::security {

enum class Operator {
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  contains,
  icontains,
  bcontains,
  starts_with,
  bstarts_with,
  ends_with,
  glob,
  iglob,
  regex,
  in,
  intersects,
  pmatch,
  exists,
};

// How a list of values on the right combines; none: there is one value.
enum class Modifier { none, one_of, any_of, all_of };

enum class RightSide { value, list, nothing };

struct OperatorInfo {
  std::string_view name;
  Operator op;
  RightSide right;
  std::string_view meaning;
};
struct ModifierInfo {
  std::string_view name;
  Modifier modifier;
  std::string_view meaning;
};

// "==" and "=" are the same operator; the first of that name in the table is how it is printed.
std::span<const OperatorInfo> operators();
std::span<const ModifierInfo> modifiers();

const OperatorInfo& info_of(Operator op);
// nullptr if there is none of that name.
const OperatorInfo* find_operator(std::string_view name);
const ModifierInfo* find_modifier(std::string_view name);

// "=, !=, ... or exists"
std::string operator_names();

}  // namespace trivet::security
