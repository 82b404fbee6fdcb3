// SPDX-License-Identifier: Apache-2.0
#include "tracing/routes.h"

#include <algorithm>

namespace trivet::tracing {
namespace {

constexpr std::size_t max_pattern = 512;
// Words of people's languages are shorter; keys and hashes are longer.
constexpr std::size_t long_word = 32;
constexpr std::size_t short_key = 8;  // the least that digits and letters a to f make an identifier

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Numbers, also signed or with a point; UUIDs and hashes; keys that mix letters and digits; e-mail
// addresses.
bool is_identifier(std::string_view segment) {
  const auto digits = static_cast<std::size_t>(std::ranges::count_if(segment, is_digit));
  if (digits > 0 && std::ranges::all_of(segment, [](char c) {
        return is_digit(c) || c == '-' || c == '.' || c == ',' || c == ':' || c == '_';
      })) {
    return true;
  }
  if (segment.size() > long_word || segment.find('@') != std::string_view::npos) return true;
  if (digits == 0 || segment.size() < short_key) return false;
  if (std::ranges::all_of(segment, [](char c) { return is_hex(c) || c == '-'; })) return true;
  const auto letters = static_cast<std::size_t>(std::ranges::count_if(segment, is_letter));
  return segment.size() >= 2 * short_key && digits >= 3 && letters >= 3 &&
         segment.find('.') == std::string_view::npos;
}

// The segment up to the next slash, which it takes off `rest` with it.
std::string_view take_segment(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('/'), rest.size());
  const std::string_view segment = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return segment;
}

std::string derived(std::string_view path) {
  std::string route;
  std::string_view rest = path.substr(1);
  for (std::size_t i = 0; i < Routes::max_segments; ++i) {
    const bool last = rest.find('/') == std::string_view::npos;
    const std::string_view segment = take_segment(rest);
    route += '/';
    route += is_identifier(segment) ? std::string_view("{id}") : segment;
    if (last) return route;
  }
  return route + "/{path...}";
}

}  // namespace

Result<Routes> Routes::read(const std::vector<std::string>& patterns) {
  Routes routes;
  if (patterns.size() > max_patterns) {
    return Error{"more than " + std::to_string(max_patterns) + " patterns"};
  }
  for (const std::string& text : patterns) {
    const std::string quoted = '"' + text + '"';
    if (!text.starts_with('/')) {
      return Error{quoted + " is no pattern of paths: write \"/" + text + "\""};
    }
    if (text.size() > max_pattern) {
      return Error{"a pattern of more than " + std::to_string(max_pattern) + " bytes"};
    }
    Pattern pattern{.text = text, .segments = {}, .open = false};
    std::string_view rest = std::string_view(text).substr(1);
    for (bool last = false; !last;) {
      last = rest.find('/') == std::string_view::npos;
      const std::string_view segment = take_segment(rest);
      if (segment.find_first_of("{}*") == std::string_view::npos) {
        pattern.segments.emplace_back(segment);
        // An empty segment of the pattern is the path's own.
        if (segment.empty()) pattern.segments.back() = "/";
        continue;
      }
      if (!segment.starts_with('{') || !segment.ends_with('}') || segment.size() < 3 ||
          segment.substr(1, segment.size() - 2).find_first_of("{}*") != std::string_view::npos) {
        return Error{quoted +
                     ": a placeholder is a whole segment in braces: write \"/users/{id}\""};
      }
      if (!segment.ends_with("...}")) {
        pattern.segments.emplace_back();
      } else if (last) {
        pattern.open = true;
      } else {
        return Error{quoted + ": " + std::string(segment) +
                     " stands for all that follows: write it last, or without the dots"};
      }
    }
    routes.patterns_.push_back(std::move(pattern));
  }
  return routes;
}

std::string Routes::route(std::string_view path) const {
  if (!path.starts_with('/')) return {};
  for (const Pattern& pattern : patterns_) {
    std::string_view rest = path.substr(1);
    bool more = true;
    bool same = true;
    for (const std::string& wanted : pattern.segments) {
      if (!(same = more)) break;
      more = rest.find('/') != std::string_view::npos;
      const std::string_view segment = take_segment(rest);
      same = wanted.empty() ? !segment.empty() : wanted == (segment.empty() ? "/" : segment);
      if (!same) break;
    }
    if (same && more == pattern.open) return pattern.text;
  }
  return derived(path);
}

}  // namespace trivet::tracing
