// SPDX-License-Identifier: Apache-2.0
// The regular-expression library is included here only.
#include "security/rules/pattern.h"

#include <re2/re2.h>

#include <algorithm>

namespace trivet::security {
namespace {

// For the program and what matching remembers of it: a rule file may hold a thousand patterns.
constexpr std::int64_t kMaxPatternBytes = 1 << 20;

// Length of the UTF-8 sequence at the start (RFC 3629); 0 if there is none.
std::size_t sequence_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  auto first = byte(0);
  std::size_t length = first < 0x80                    ? 1
                       : first >= 0xc2 && first < 0xe0 ? 2
                       : first >= 0xe0 && first < 0xf0 ? 3
                       : first >= 0xf0 && first < 0xf5 ? 4
                                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Longer than need be, surrogates, beyond U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return length;
}

std::string sanitized(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto length = sequence_length(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      length = 1;
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

std::variant<Pattern, std::string> Pattern::compile(std::string_view text) {
  re2::RE2::Options options(re2::RE2::POSIX);
  options.set_max_mem(kMaxPatternBytes);
  options.set_log_errors(false);
  auto compiled =
      std::make_shared<const re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
  if (!compiled->ok()) {
    std::string why = compiled->error();
    // POSIX syntax has no classes such as \d.
    if (compiled->error_code() == re2::RE2::ErrorBadEscape) why += ": write [0-9] for \\d";
    return why;
  }
  Pattern pattern;
  pattern.compiled_ = std::move(compiled);
  return pattern;
}

bool Pattern::matches(std::string_view text) const {
  auto whole = [&](std::string_view of) {
    return re2::RE2::FullMatch(re2::StringPiece(of.data(), of.size()), *compiled_);
  };
  bool ascii =
      std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return ascii ? whole(text) : whole(sanitized(text));
}

}  // namespace trivet::security
