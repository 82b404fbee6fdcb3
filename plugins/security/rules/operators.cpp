// SPDX-License-Identifier: Apache-2.0
#include "security/rules/operators.h"

#include <algorithm>

namespace trivet::security {
namespace {

constexpr OperatorInfo kOperators[] = {
    {"=", Operator::equal, RightSide::value, "equal; an address is within a network"},
    {"==", Operator::equal, RightSide::value, "the same as ="},
    {"!=", Operator::not_equal, RightSide::value, "not equal"},
    {"<", Operator::less, RightSide::value, "less; text by its bytes"},
    {"<=", Operator::less_equal, RightSide::value, "less or equal"},
    {">", Operator::greater, RightSide::value, "greater"},
    {">=", Operator::greater_equal, RightSide::value, "greater or equal"},
    {"contains", Operator::contains, RightSide::value, "the text holds this one; a flag is set"},
    {"icontains", Operator::icontains, RightSide::value, "contains, whatever the case of letters"},
    {"bcontains", Operator::bcontains, RightSide::value, "holds these bytes, given in hexadecimal"},
    {"startswith", Operator::starts_with, RightSide::value, "the text begins with this one"},
    {"bstartswith", Operator::bstarts_with, RightSide::value,
     "begins with these bytes, given in hexadecimal"},
    {"endswith", Operator::ends_with, RightSide::value, "the text ends with this one"},
    {"glob", Operator::glob, RightSide::value,
     "the whole text matches a pattern of `*`, `?` and `[a-z]`"},
    {"iglob", Operator::iglob, RightSide::value, "glob, whatever the case of letters"},
    {"regex", Operator::regex, RightSide::value,
     "the whole text matches a regular expression (RE2, POSIX syntax)"},
    {"in", Operator::in, RightSide::list, "is one of these; of a list, each item is"},
    {"intersects", Operator::intersects, RightSide::list,
     "is one of these; of a list, some item is"},
    {"pmatch", Operator::pmatch, RightSide::list,
     "the path is one of these or below one; parts of a path may be globs"},
    {"exists", Operator::exists, RightSide::nothing, "the field has a value"},
};

constexpr ModifierInfo kModifiers[] = {
    {"oneof", Modifier::one_of, "exactly one of the values matches"},
    {"anyof", Modifier::any_of, "some of the values match"},
    {"allof", Modifier::all_of, "each of the values matches"},
};

}  // namespace

std::span<const OperatorInfo> operators() {
  return kOperators;
}

std::span<const ModifierInfo> modifiers() {
  return kModifiers;
}

const OperatorInfo& info_of(Operator op) {
  return *std::ranges::find(kOperators, op, &OperatorInfo::op);
}

const OperatorInfo* find_operator(std::string_view name) {
  auto found = std::ranges::find(kOperators, name, &OperatorInfo::name);
  return found == std::end(kOperators) ? nullptr : found;
}

const ModifierInfo* find_modifier(std::string_view name) {
  auto found = std::ranges::find(kModifiers, name, &ModifierInfo::name);
  return found == std::end(kModifiers) ? nullptr : found;
}

std::string operator_names() {
  std::string out;
  for (const auto& info : kOperators) {
    if (&info != std::begin(kOperators)) out += &info == std::end(kOperators) - 1 ? " or " : ", ";
    out += info.name;
  }
  return out;
}

}  // namespace trivet::security
