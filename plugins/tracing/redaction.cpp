// SPDX-License-Identifier: Apache-2.0
#include "tracing/redaction.h"

#include <algorithm>
#include <optional>

namespace trivet::tracing {
namespace {

constexpr std::size_t max_name = 256;  // longer ones are hidden

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

std::string in_lower_case(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

// Whether a lower-case pattern with * matches, in time that grows with the product of the lengths
// at most.
bool glob(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::optional<std::size_t> star;
  std::size_t retry = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = n;
    } else if (p < pattern.size() && pattern[p] == lower(name[n])) {
      ++p;
      ++n;
    } else if (star) {
      p = *star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
        hex_digit(text[i + 2]) >= 0) {
      result += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      result += text[i] == '+' ? ' ' : text[i];
    }
  }
  return result;
}

// A parameter's name may carry an index, as in user[password] or token[]: each part counts.
bool hides(const NamePatterns& names, std::string_view name) {
  if (name.size() > max_name) return true;
  const std::string clear = percent_decoded(name);
  if (names.matches(clear)) return true;
  for (std::string_view rest = clear; !rest.empty();) {
    const std::size_t end = std::min(rest.find_first_of("[]."), rest.size());
    if (end > 0 && end < clear.size() && names.matches(rest.substr(0, end))) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return false;
}

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

std::string redact_cookie(std::string_view pair, const NamePatterns& names) {
  const std::size_t equals = pair.find('=');
  if (equals == std::string_view::npos) return std::string(pair.empty() ? pair : redacted);
  if (!names.matches(trimmed(pair.substr(0, equals)))) return std::string(pair);
  return std::string(pair.substr(0, equals + 1)).append(redacted);
}

// The string at the front of `text`, which begins with a quotation mark: both marks included.
std::string_view json_string(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return text.substr(0, i + 1);
    }
  }
  return text;
}

// A string's content; \u escapes of letters that names are made of are undone.
std::string json_unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      result += text[i];
      continue;
    }
    ++i;
    if (text[i] == 'u' && i + 4 < text.size() && text.substr(i + 1, 2) == "00" &&
        hex_digit(text[i + 3]) >= 0 && hex_digit(text[i + 4]) >= 0) {
      result += static_cast<char>(hex_digit(text[i + 3]) * 16 + hex_digit(text[i + 4]));
      i += 4;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string_view json_space(std::string_view text) {
  return text.substr(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

}  // namespace

NamePatterns::NamePatterns(std::initializer_list<std::string_view> patterns) {
  for (std::string_view pattern : patterns) add(pattern);
}

void NamePatterns::add(std::string_view pattern) {
  patterns_.push_back({in_lower_case(pattern), pattern.rfind('*') == 0});
}

Result<NamePatterns> NamePatterns::read(const std::vector<std::string>& patterns) {
  NamePatterns result;
  if (patterns.size() > max_patterns) {
    return Error{"more than " + std::to_string(max_patterns) +
                 " names: * stands for any letters, as in \"*token\""};
  }
  for (const std::string& pattern : patterns) {
    const std::string quoted = '"' + pattern + '"';
    if (pattern.empty()) {
      return Error{"an empty name hides nothing: take it out, or write \"*\" to hide every value"};
    }
    if (pattern.size() > max_name) {
      return Error{"a name of more than " + std::to_string(max_name) +
                   " bytes: write its beginning and *"};
    }
    const std::size_t wrong = pattern.find_first_of(" \t\r\n=:;&,?\"");
    if (wrong != std::string::npos) {
      const std::string name = pattern.substr(0, wrong);
      return Error{quoted + " is no name: these lists have names only, without values" +
                   (name.empty() ? "" : "; write \"" + name + "\"")};
    }
    result.add(pattern);
  }
  return result;
}

bool NamePatterns::matches(std::string_view name) const {
  // Each header of each message comes by here: most are told apart by their length or last letter.
  for (const auto& [text, ending] : patterns_) {
    if (ending) {
      const std::size_t size = text.size() - 1;
      if (name.size() < size) continue;
      if (size > 0 && lower(name.back()) != text.back()) continue;
      if (glob(std::string_view(text).substr(1), name.substr(name.size() - size))) return true;
    } else if (text.size() <= name.size() || text.find('*') != std::string::npos) {
      if (glob(text, name)) return true;
    }
  }
  return false;
}

std::string redact_parameters(std::string_view text, const NamePatterns& names) {
  if (names.empty()) return std::string(text);
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('&'), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(end);
    // Some servers take a semicolon for a separator, for others it belongs to the value: what
    // follows one is judged by its own name, but hidden with the value before it.
    while (!part.empty()) {
      const std::size_t length = std::min(part.find(';'), part.size());
      const std::string_view pair = part.substr(0, length);
      const std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && hides(names, pair.substr(0, equals))) {
        result.append(pair.substr(0, equals + 1)).append(redacted);
        break;
      }
      const std::size_t taken = std::min(length + 1, part.size());
      result.append(part.substr(0, taken));
      part.remove_prefix(taken);
    }
    if (!text.empty()) {
      result += '&';
      text.remove_prefix(1);
    }
  }
  return result;
}

std::string redact_url(std::string_view url, const NamePatterns& names) {
  std::string result;
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos && scheme < std::min(url.find_first_of("/?#"), url.size())) {
    const std::size_t start = scheme + 3;
    const std::string_view authority = url.substr(start, url.find_first_of("/?#", start) - start);
    result = url.substr(0, start);
    const std::size_t at = authority.rfind('@');
    if (at != std::string_view::npos) {
      result.append(redacted).append(authority.substr(at));
    } else {
      result.append(authority);
    }
    url.remove_prefix(start + authority.size());
  }
  while (!url.empty()) {
    const std::size_t mark = std::min(url.find_first_of("?#"), url.size());
    result.append(url.substr(0, mark));
    if (mark == url.size()) break;
    result += url[mark];
    url.remove_prefix(mark + 1);
    const std::string_view parameters = url.substr(0, url.find_first_of("?#"));
    result.append(redact_parameters(parameters, names));
    url.remove_prefix(parameters.size());
  }
  return result;
}

std::string redact_cookies(std::string_view header, const NamePatterns& names) {
  if (names.empty()) return std::string(header);
  std::string result;
  for (;;) {
    const std::size_t end = header.find(';');
    result.append(redact_cookie(header.substr(0, end), names));
    if (end == std::string_view::npos) return result;
    result += ';';
    header.remove_prefix(end + 1);
  }
}

std::string redact_set_cookie(std::string_view header, const NamePatterns& names) {
  if (names.empty()) return std::string(header);
  const std::size_t end = std::min(header.find(';'), header.size());
  return redact_cookie(header.substr(0, end), names).append(header.substr(end));
}

std::string redact_json(std::string_view text, const NamePatterns& names) {
  if (names.empty()) return std::string(text);
  std::string result;
  const auto pass = [&](std::size_t size) {
    result.append(text.substr(0, size));
    text.remove_prefix(std::min(size, text.size()));
  };
  while (!text.empty()) {
    const std::size_t quote = std::min(text.find('"'), text.size());
    pass(quote);
    if (text.empty()) break;
    const std::string_view name = json_string(text);
    pass(name.size());
    pass(json_space(text).size());
    if (!text.starts_with(':') || name.size() < 2) continue;
    pass(1);
    pass(json_space(text).size());
    const std::string_view content = name.substr(1, name.size() - 2);
    if (text.empty() || text.front() == '{' || text.front() == '[') continue;
    if (content.size() <= max_name && !names.matches(json_unescaped(content))) continue;
    const std::string_view value =
        text.front() == '"' ? json_string(text) : text.substr(0, text.find_first_of(",}] \t\r\n"));
    if (value.empty()) continue;
    result.append(1, '"').append(redacted).append(1, '"');
    text.remove_prefix(value.size());
  }
  return result;
}

}  // namespace trivet::tracing
