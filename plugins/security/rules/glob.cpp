// SPDX-License-Identifier: Apache-2.0
#include "security/rules/glob.h"

#include <algorithm>
#include <cctype>

namespace trivet::security {
namespace {

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

// Whether `c` is in the class that starts behind '[' at `at`; `at` moves behind ']'. A class that
// is never closed is a plain '['.
bool in_class(std::string_view pattern, std::size_t& at, char c, Case letters) {
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
    found = found || (low <= c && c <= high) ||
            (letters == Case::ignored && lower(low) <= lower(c) && lower(c) <= lower(high));
  }
  if (i >= pattern.size()) return c == '[';
  at = i + 1;
  return found != negated;
}

// One element of the pattern against one character; `at` moves behind the element.
bool element_matches(std::string_view pattern, std::size_t& at, char c, Case letters) {
  char p = pattern[at++];
  if (p == '?') return true;
  if (p == '[') return in_class(pattern, at, c, letters);
  if (p == '\\' && at < pattern.size()) p = pattern[at++];
  return p == c || (letters == Case::ignored && lower(p) == lower(c));
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text, Case letters) {
  // Backtracks to the last star only, which is enough: an earlier one could not do better.
  std::size_t p = 0, t = 0, star = pattern.npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = t;
      continue;
    }
    auto next = p;
    if (p < pattern.size() && element_matches(pattern, next, text[t], letters)) {
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

bool contains_ignoring_case(std::string_view text, std::string_view part) {
  auto found = std::search(text.begin(), text.end(), part.begin(), part.end(),
                           [](char a, char b) { return lower(a) == lower(b); });
  return found != text.end() || part.empty();
}

}  // namespace trivet::security
