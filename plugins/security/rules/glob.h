// SPDX-License-Identifier: Apache-2.0
// Shell wildcards. Pure; any thread.
#pragma once

#include <string_view>

namespace trivet::security {

enum class Case { exact, ignored };

// ? * [a-z] [!a-z] \x; * and ? match slashes too, as fnmatch(3) without flags. Time bounded by the
// product of the lengths.
bool glob_matches(std::string_view pattern, std::string_view text, Case letters = Case::exact);

// `part` is somewhere in `text`, whatever the case of letters.
bool contains_ignoring_case(std::string_view text, std::string_view part);

}  // namespace trivet::security
