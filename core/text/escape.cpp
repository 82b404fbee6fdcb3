// SPDX-License-Identifier: Apache-2.0
#include "text/escape.h"

#include <cstdint>
#include <cstdio>

namespace trivet {
namespace {

constexpr char32_t kInvalid = 0xFFFFFFFF;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Decoded {
  char32_t code;     // kInvalid if the bytes are no UTF-8
  std::size_t size;  // bytes taken, at least 1
};

// The code point at the start of `text`, which is not empty. Of an invalid sequence, takes the
// maximal part that could have started a valid one (Unicode 15, 3.9, table 3-7).
Decoded decode(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  std::uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};

  std::size_t size;
  char32_t code;
  std::uint8_t low = 0x80, high = 0xBF;  // of the second byte
  if (first >= 0xC2 && first <= 0xDF) {
    size = 2;
    code = first & 0x1F;
  } else if (first >= 0xE0 && first <= 0xEF) {
    size = 3;
    code = first & 0x0F;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    size = 4;
    code = first & 0x07;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return {kInvalid, 1};
  }
  for (std::size_t i = 1; i < size; ++i) {
    if (i >= text.size() || byte(i) < low || byte(i) > high) return {kInvalid, i};
    code = code << 6 | (byte(i) & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code, size};
}

// What a terminal acts on or is misled by: controls, separators, marks that change the direction.
bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C ||
         (code >= 0x200B && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF ||
         (code >= 0xE0000 && code <= 0xE0FFF);
}

template <std::size_t N, class... Arguments>
void append_formatted(std::string& out, const char (&format)[N], Arguments... arguments) {
  char buffer[16];
  int size = std::snprintf(buffer, sizeof(buffer), format, arguments...);
  out.append(buffer, static_cast<std::size_t>(size));
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    auto [code, size] = decode(text);
    if (code == kInvalid) {
      out += kReplacement;
    } else if (code == '"' || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (code < 0x20 || code == 0x7F) {
      append_formatted(out, "\\u%04x", static_cast<unsigned>(code));
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  out += '"';
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    auto [code, size] = decode(text);
    out += code == kInvalid ? kReplacement : text.substr(0, size);
    text.remove_prefix(size);
  }
  return out;
}

void append_printable(std::string& out, std::string_view text) {
  while (!text.empty()) {
    auto [code, size] = decode(text);
    if (code == kInvalid) {
      for (char c : text.substr(0, size)) {
        append_formatted(out, "\\x%02x", static_cast<unsigned>(static_cast<std::uint8_t>(c)));
      }
    } else if (code == '\\') {
      out += "\\\\";
    } else if (code == '\n') {
      out += "\\n";
    } else if (code == '\r') {
      out += "\\r";
    } else if (code == '\t') {
      out += "\\t";
    } else if (is_control(code)) {
      if (code < 0x100) {
        append_formatted(out, "\\x%02x", static_cast<unsigned>(code));
      } else {
        append_formatted(out, "\\u{%x}", static_cast<unsigned>(code));
      }
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
}

std::string printable(std::string_view text) {
  std::string out;
  append_printable(out, text);
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    text.remove_prefix(decode(text).size);
    ++width;
  }
  return width;
}

}  // namespace trivet
