// SPDX-License-Identifier: Apache-2.0
#include "security/rules/filter.h"

#include <algorithm>
#include <cctype>

namespace trivet::security {
namespace {

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}

// Whether `c` is in the class that starts behind '[' at `at`; `at` moves behind ']'. A class that
// is never closed is a plain '['.
bool in_class(std::string_view pattern, std::size_t& at, char c) {
  auto i = at;
  bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  bool found = false;
  for (bool first = true; i < pattern.size() && (first || pattern[i] != ']'); first = false) {
    char low = pattern[i++], high = low;
    if (i + 1 < pattern.size() && pattern[i] == '-' && pattern[i + 1] != ']') {
      high = pattern[i + 1];
      i += 2;
    }
    found = found || (low <= c && c <= high);
  }
  if (i >= pattern.size()) return c == '[';
  at = i + 1;
  return found != negated;
}

// One element of the pattern against one character; `at` moves behind the element.
bool element_matches(std::string_view pattern, std::size_t& at, char c) {
  char p = pattern[at++];
  if (p == '?') return true;
  if (p == '[') return in_class(pattern, at, c);
  if (p == '\\' && at < pattern.size()) p = pattern[at++];
  return p == c;
}

// The path is one of these or below one of them.
bool below_any(const std::vector<std::string>& roots, std::string_view path) {
  return std::ranges::any_of(roots, [&](std::string_view root) {
    while (root.size() > 1 && root.back() == '/') root.remove_suffix(1);
    return path.starts_with(root) &&
           (path.size() == root.size() || root.back() == '/' || path[root.size()] == '/');
  });
}

bool text_matches(const Test& test, std::string_view value) {
  switch (test.op) {
    case Operator::equal:
      return value == test.text;
    case Operator::not_equal:
      return value != test.text;
    case Operator::in:
    case Operator::intersects:
      return test.set.find(value) != test.set.end();
    case Operator::starts_with:
      return value.starts_with(test.text);
    case Operator::ends_with:
      return value.ends_with(test.text);
    case Operator::contains:
      return value.find(test.text) != value.npos;
    case Operator::icontains:
      return lower(value).find(test.text) != std::string::npos;
    case Operator::glob:
      return glob_matches(test.text, value);
    case Operator::iglob:
      return glob_matches(test.text, lower(value));
    case Operator::pmatch:
      return below_any(test.texts, value);
    default:
      return false;
  }
}

bool number_matches(const Test& test, std::int64_t value) {
  auto with = [&](auto compare) {
    return std::ranges::any_of(test.numbers, [&](std::int64_t n) { return compare(value, n); });
  };
  switch (test.op) {
    case Operator::equal:
    case Operator::in:
    case Operator::intersects:
      return with(std::equal_to<>());
    case Operator::not_equal:
      return !with(std::equal_to<>());
    case Operator::less:
      return with(std::less<>());
    case Operator::less_equal:
      return with(std::less_equal<>());
    case Operator::greater:
      return with(std::greater<>());
    case Operator::greater_equal:
      return with(std::greater_equal<>());
    default:
      return false;
  }
}

bool address_matches(const Test& test, const IpAddress& value) {
  bool within = std::ranges::any_of(
      test.ranges, [&](const AddressRange& range) { return range.contains(value); });
  return test.op == Operator::not_equal ? !within : within;
}

bool truth_matches(const Test& test, bool value) {
  bool among = std::ranges::find(test.truths, value) != test.truths.end();
  return test.op == Operator::not_equal ? !among : among;
}

}  // namespace

bool AddressRange::contains(const IpAddress& address) const {
  if (address.family != base.family || address.family == 0) return false;
  for (unsigned bit = 0; bit < bits; bit += 8) {
    unsigned kept = std::min(8u, bits - bit);
    auto mask = static_cast<std::uint8_t>(0xff << (8 - kept));
    if ((address.bytes[bit / 8] ^ base.bytes[bit / 8]) & mask) return false;
  }
  return true;
}

bool glob_matches(std::string_view pattern, std::string_view text) {
  // Backtracks to the last star only, which is enough: an earlier one could not do better.
  std::size_t p = 0, t = 0, star = pattern.npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = t;
      continue;
    }
    auto next = p;
    if (p < pattern.size() && element_matches(pattern, next, text[t])) {
      p = next;
      ++t;
      continue;
    }
    if (star == pattern.npos) return false;
    p = star;
    t = ++resume;
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool matches(const Test& test, const FieldValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return false;
  if (test.op == Operator::exists) return true;

  // Of several values one must match. Falco's exception: an address or port that must differ has to
  // differ at both ends, while `proc.aname != x` asks for any ancestor of another name.
  auto any_of = [&](const auto& values, auto one_matches, bool each_must_differ) {
    if (each_must_differ && test.op == Operator::not_equal) {
      return std::ranges::all_of(values, [&](const auto& v) { return one_matches(test, v); });
    }
    return std::ranges::any_of(values, [&](const auto& v) { return one_matches(test, v); });
  };
  if (auto text = std::get_if<std::string_view>(&value)) return text_matches(test, *text);
  if (auto number = std::get_if<std::int64_t>(&value)) return number_matches(test, *number);
  if (auto truth = std::get_if<bool>(&value)) return truth_matches(test, *truth);
  if (auto address = std::get_if<IpAddress>(&value)) return address_matches(test, *address);
  if (auto texts = std::get_if<std::vector<std::string_view>>(&value)) {
    return any_of(*texts, text_matches, false);
  }
  if (auto numbers = std::get_if<std::vector<std::int64_t>>(&value)) {
    return any_of(*numbers, number_matches, test.use.field->name.starts_with("fd."));
  }
  return any_of(std::get<std::vector<IpAddress>>(value), address_matches, true);
}

void Evaluation::resize(std::size_t slots, std::size_t memos) {
  slots_.assign(slots, {});
  memos_.assign(memos + 1, {});
}

void Evaluation::begin(const RuleEvent& event) {
  event_ = &event;
  ++round_;
}

const FieldValue& Evaluation::value(const FieldUse& use) {
  Slot& slot = slots_[use.slot];
  if (slot.round != round_) {
    slot.value = use.field->get(*event_, use.argument);
    slot.round = round_;
  }
  return slot.value;
}

bool Evaluation::matches(const Filter& filter) {
  if (filter.memo != 0 && memos_[filter.memo].round == round_) return memos_[filter.memo].answer;
  bool answer = false;
  auto child = [&](const auto& c) { return matches(*c); };
  switch (filter.kind) {
    case Filter::Kind::all:
      answer = std::ranges::all_of(filter.children, child);
      break;
    case Filter::Kind::any:
      answer = std::ranges::any_of(filter.children, child);
      break;
    case Filter::Kind::negation:
      answer = !matches(*filter.children.front());
      break;
    case Filter::Kind::test:
      answer = security::matches(filter.test, value(filter.test.use));
      break;
  }
  if (filter.memo != 0) memos_[filter.memo] = {round_, answer};
  return answer;
}

}  // namespace trivet::security
