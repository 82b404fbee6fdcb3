// SPDX-License-Identifier: Apache-2.0
// A regular expression of a rule. Matching takes time in proportion to the text, and memory up to a
// bound. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace re2 {
class RE2;
}

namespace trivet::security {

class Pattern {
 public:
  // In POSIX syntax, or what is wrong with it.
  static std::variant<Pattern, std::string> compile(std::string_view text);
  // The whole text; bytes that are not UTF-8 count as U+FFFD.
  bool matches(std::string_view text) const;

 private:
  std::shared_ptr<const re2::RE2> compiled_;
};

}  // namespace trivet::security
