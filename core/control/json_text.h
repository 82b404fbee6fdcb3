// SPDX-License-Identifier: Apache-2.0
// A verb's JSON answer as text for people. Pure.
#pragma once

#include <string>
#include <string_view>

namespace trivet {

// Objects as "name: value" lines, nested ones indented; a list of objects as a table of their
// members; a string as it is. Hostile characters are escaped, but for the line breaks of a string
// answer. Ends with a line break unless empty. Text that is no JSON is returned escaped.
std::string json_to_text(std::string_view json);

// The same JSON indented.
std::string json_indented(std::string_view json);

}  // namespace trivet
