// SPDX-License-Identifier: Apache-2.0
// Makes bytes that anybody may have chosen (file names, arguments, headers) safe to print: in JSON
// and on a terminal. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace trivet {

// Appends `text` as a JSON string with its quotes. What is not UTF-8 becomes U+FFFD, one for each
// maximal part of a sequence, as Unicode recommends.
void append_json_string(std::string& out, std::string_view text);

// `text` with what is not UTF-8 replaced likewise.
std::string valid_utf8(std::string_view text);

// Appends `text` for a terminal: control characters (C0, DEL, C1), line and paragraph separators
// and direction marks, backslashes and what is not UTF-8 appear as \n, \t, \xHH or \u{HHHH}.
void append_printable(std::string& out, std::string_view text);
std::string printable(std::string_view text);

// Columns that a terminal takes for UTF-8 text: one for each code point. Wide and combining
// characters count as one too.
std::size_t display_width(std::string_view text);

}  // namespace trivet
