// SPDX-License-Identifier: Apache-2.0
#include "security/rules/comparison.h"

#include <algorithm>
#include <cmath>

#include "security/rules/glob.h"

namespace trivet::security {
namespace {

template <class T>
bool ordered(Operator op, const T& a, const T& b) {
  switch (op) {
    case Operator::less:
      return a < b;
    case Operator::less_equal:
      return a <= b;
    case Operator::greater:
      return a > b;
    case Operator::greater_equal:
      return a >= b;
    case Operator::not_equal:
      return a != b;
    default:
      return a == b;
  }
}

bool compare(Operator op, std::string_view value, std::string_view with) {
  switch (op) {
    case Operator::contains:
    case Operator::bcontains:
      return value.find(with) != value.npos;
    case Operator::icontains:
      return contains_ignoring_case(value, with);
    case Operator::starts_with:
    case Operator::bstarts_with:
      return value.starts_with(with);
    case Operator::ends_with:
      return value.ends_with(with);
    case Operator::glob:
      return glob_matches(with, value);
    case Operator::iglob:
      return glob_matches(with, value, Case::ignored);
    default:
      return ordered(op, value, with);
  }
}

bool compare(Operator op, std::int64_t value, std::int64_t with) {
  return ordered(op, value, with);
}
bool compare(Operator op, bool value, bool with) {
  return ordered(op, value, with);
}
bool compare(Operator op, const IpAddress& value, const IpAddress& with) {
  return ordered(op, value, with);
}

// How many of `count` constants match, judged by what the modifier asks.
template <class Matches>
bool combine(Modifier modifier, std::size_t count, Matches matches) {
  if (count == 0) return false;
  std::size_t found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (matches(i)) {
      ++found;
      if (modifier == Modifier::any_of || modifier == Modifier::none) return true;
      if (modifier == Modifier::one_of && found > 1) return false;
    } else if (modifier == Modifier::all_of) {
      return false;
    }
  }
  return modifier == Modifier::all_of || found == 1;
}

bool matches_one(const Comparison& c, std::string_view value) {
  switch (c.op) {
    case Operator::in:
    case Operator::intersects:
      return c.text_set.contains(value);
    case Operator::pmatch:
      return c.paths.covers(value);
    case Operator::regex:
      return combine(c.modifier, c.patterns.size(),
                     [&](std::size_t i) { return c.patterns[i].matches(value); });
    default:
      return combine(c.modifier, c.texts.size(), [&](std::size_t i) {
        return compare(c.op, value, std::string_view(c.texts[i]));
      });
  }
}

bool matches_one(const Comparison& c, std::int64_t value) {
  if (c.op == Operator::in || c.op == Operator::intersects) {
    return std::ranges::binary_search(c.numbers, value);
  }
  return combine(c.modifier, c.numbers.size(),
                 [&](std::size_t i) { return compare(c.op, value, c.numbers[i]); });
}

bool matches_one(const Comparison& c, bool value) {
  return combine(c.modifier, c.truths.size(),
                 [&](std::size_t i) { return compare(c.op, value, bool(c.truths[i])); });
}

bool matches_one(const Comparison& c, const IpAddress& value) {
  if (c.op == Operator::in || c.op == Operator::intersects) return c.address_set.contains(value);
  return combine(c.modifier, c.ranges.size(), [&](std::size_t i) {
    return c.ranges[i].contains(value) == (c.op == Operator::equal);
  });
}

bool matches_one(const Comparison&, std::monostate) {
  return false;
}

// Whether `predicate` holds of the value, or of enough of several.
template <class Predicate>
bool holds(const Comparison& c, const FieldValue& value, Predicate predicate) {
  return std::visit(
      [&](const auto& v) {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<V, std::string_view> || !requires { v.begin(); }) {
          return predicate(v);
        } else {
          bool each = c.each_must_differ
                          ? c.op == Operator::not_equal
                          : c.type.plurality == Plurality::list && c.op == Operator::in;
          return each ? std::ranges::all_of(v, predicate) : std::ranges::any_of(v, predicate);
        }
      },
      value);
}

// A value against that of another field, which has the same type.
bool matches_other(const Comparison& c, const FieldValue& value, const FieldValue& other) {
  Operator op = c.op == Operator::in || c.op == Operator::intersects ? Operator::equal : c.op;
  return holds(c, value, [&](const auto& v) {
    auto against = [&](const auto& o) {
      if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::decay_t<decltype(o)>> &&
                    !std::is_same_v<std::decay_t<decltype(v)>, std::monostate>) {
        return compare(op, v, o);
      } else {
        return false;
      }
    };
    return std::visit(
        [&](const auto& o) {
          using O = std::decay_t<decltype(o)>;
          if constexpr (std::is_same_v<O, std::string_view> || !requires { o.begin(); }) {
            return against(o);
          } else {
            return std::ranges::any_of(o, against);
          }
        },
        other);
  });
}

}  // namespace

bool Comparison::matches(const FieldValue& value, const FieldValue& other) const {
  if (std::holds_alternative<std::monostate>(value)) return false;
  if (op == Operator::exists) return true;
  if (right) {
    return !std::holds_alternative<std::monostate>(other) && matches_other(*this, value, other);
  }
  return holds(*this, value, [&](const auto& v) { return matches_one(*this, v); });
}

std::size_t Comparison::constants() const {
  return std::max({texts.size(), patterns.size(), text_set.size(), numbers.size(), ranges.size(),
                   truths.size()});
}

// Nanoseconds on a common processor; only the proportions matter.
double Comparison::cost() const {
  double one = 2;
  switch (op) {
    case Operator::in:
    case Operator::intersects:
      one = 6;
      break;
    case Operator::contains:
    case Operator::bcontains:
      one = 10;
      break;
    case Operator::icontains:
      one = 60;
      break;
    case Operator::glob:
    case Operator::iglob:
      one = 30;
      break;
    case Operator::pmatch:
      one = 60;
      break;
    case Operator::regex:
      one = 200;
      break;
    default:
      break;
  }
  bool several = modifier != Modifier::none;
  if (type.plurality != Plurality::one) one *= 4;
  return several ? one * static_cast<double>(std::max<std::size_t>(constants(), 1)) : one;
}

double Comparison::chance() const {
  // A word out of all that a field can hold, and a choice of a few.
  constexpr double kRare = 0.03, kEven = 0.5, kLikely = 0.9;
  bool few_values = type.type == FieldType::boolean;
  switch (op) {
    case Operator::exists:
      return kLikely;
    case Operator::not_equal:
      return few_values ? kEven : 1 - kRare;
    case Operator::less:
    case Operator::less_equal:
    case Operator::greater:
    case Operator::greater_equal:
      return kEven;
    default:
      if (few_values) return kEven;
      return std::min(
          0.4, kRare * std::sqrt(static_cast<double>(std::max<std::size_t>(constants(), 1))));
  }
}

}  // namespace trivet::security
