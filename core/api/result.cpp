// SPDX-License-Identifier: Apache-2.0
#include "trivet/result.h"

#include <system_error>

namespace trivet {

std::string Place::to_string() const {
  std::string text = file;
  if (line == 0) return text;
  text += ':' + std::to_string(line);
  if (column != 0) text += ':' + std::to_string(column);
  return text;
}

std::string Error::to_string() const {
  std::string where = place.to_string();
  return where.empty() ? message : where + ": " + message;
}

Error Error::within(const std::string& context) && {
  message = context + ": " + message;
  return std::move(*this);
}

std::string source_line(const Place& place, std::string_view text) {
  if (place.line == 0 || place.column == 0) return {};
  for (std::uint32_t line = 1; line < place.line; ++line) {
    auto end = text.find('\n');
    if (end == text.npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string shown(text.substr(0, text.find('\n')));
  std::size_t caret = place.column - 1;
  if (caret > shown.size()) return {};
  // What would move a terminal's cursor would move the caret away from its place.
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  // Of a long line, what is around the place.
  constexpr std::size_t kBefore = 80, kMost = 160;
  if (shown.size() > kMost) {
    auto start = caret > kBefore ? caret - kBefore : 0;
    shown = shown.substr(start, kMost);
    caret -= start;
  }
  std::string margin = "    " + std::to_string(place.line) + " | ";
  std::string below(margin.size() - 2, ' ');
  return margin + shown + "\n" + below + "| " + std::string(caret, ' ') + "^";
}

Error system_error(int code, std::string message) {
  // strerror() is not thread-safe; the standard library's generic category is.
  message += ": " + std::generic_category().message(code);
  return Error{std::move(message), code, {}};
}

}  // namespace trivet
