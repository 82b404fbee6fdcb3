// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "text/escape.h"

using namespace trivet;

namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

}  // namespace

TEST_CASE("text becomes a JSON string that another parser reads back") {
  for (std::string text :
       {"", "plain", "quote \" backslash \\", "\n\r\t\b\f\x01\x1f\x7f", "ä€😀", "\xe2\x80\xa8"}) {
    CAPTURE(text);
    CHECK(nlohmann::json::parse(json_string(text)).get<std::string>() == text);
  }
  CHECK(nlohmann::json::parse(json_string(std::string_view("a\0b", 3))).get<std::string>().size() ==
        3);
}

TEST_CASE("what is no UTF-8 is replaced as Unicode recommends") {
  struct Row {
    const char* bytes;
    const char* expected;
  };
  // The Unicode Standard 15, section 3.9, tables 3-8 to 3-11.
  const Row rows[] = {
      {"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", "��������A"},
      {"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", "��������A"},
      {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", "�����A��B"},
      {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "����A"},
  };
  for (const auto& row : rows) CHECK(valid_utf8(row.bytes) == row.expected);
}

TEST_CASE("every single byte and pair of bytes gives valid JSON") {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const char bytes[] = {static_cast<char>(first), static_cast<char>(second)};
      std::string json = json_string({bytes, 2});
      if (!nlohmann::json::accept(json)) FAIL("refused: " << printable({bytes, 2}));
    }
  }
}

TEST_CASE("nothing that is printed for people reaches the terminal as a command") {
  struct Row {
    std::string_view bytes;
    const char* expected;
  };
  const Row rows[] = {
      {"plain ä€😀", "plain ä€😀"},
      {"\x1b[31mred\x07", "\\x1b[31mred\\x07"},
      {"a\nb\tc\rd", "a\\nb\\tc\\rd"},
      {"\xc2\x9b"
       "31m",
       "\\x9b31m"},
      {"\x9b"
       "31m",
       "\\x9b31m"},
      {"back\\slash", "back\\\\slash"},
      {"\xe2\x80\xae"
       "gpj.exe",
       "\\u{202e}gpj.exe"},
      {"\xff\xfe", "\\xff\\xfe"},
      {{"nul\0", 4}, "nul\\x00"},
  };
  for (const auto& row : rows) CHECK(printable(row.bytes) == row.expected);
}
