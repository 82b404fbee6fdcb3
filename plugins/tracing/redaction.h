// SPDX-License-Identifier: Apache-2.0
// Which values of HTTP messages are not kept, by the names they go under, and the texts without
// them. What cannot be taken apart is hidden rather than shown. Pure functions; any thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "trivet/result.h"

namespace trivet::tracing {

constexpr std::string_view redacted = "<redacted>";

// Names by which values are hidden; * stands for any letters, case does not matter.
class NamePatterns {
 public:
  static constexpr std::size_t max_patterns = 256;

  NamePatterns() = default;
  NamePatterns(std::initializer_list<std::string_view> patterns);
  // What is wrong with a pattern and what to write instead, if anything is.
  static Result<NamePatterns> read(const std::vector<std::string>& patterns);

  bool matches(std::string_view name) const;
  bool empty() const { return patterns_.empty(); }

 private:
  void add(std::string_view pattern);

  struct Pattern {
    std::string text;  // in lower case
    bool ending;       // a * and letters: the commonest form, and a cheap one
  };
  std::vector<Pattern> patterns_;
};

// A query or a form (name=value&...): names may be percent-encoded, as a server would read them.
std::string redact_parameters(std::string_view text, const NamePatterns& names);
// The query and the fragment of a URL; the user and password of its authority always.
std::string redact_url(std::string_view url, const NamePatterns& names);
// A Cookie header (name=value; ...), or a Set-Cookie header, of which the first pair is the cookie.
std::string redact_cookies(std::string_view header, const NamePatterns& names);
std::string redact_set_cookie(std::string_view header, const NamePatterns& names);
// Strings, numbers and words that are values of members with these names, at any depth; what is
// within a member's array or object is judged by its own names. Cut or malformed JSON is read as
// far as it goes.
std::string redact_json(std::string_view text, const NamePatterns& names);

}  // namespace trivet::tracing
