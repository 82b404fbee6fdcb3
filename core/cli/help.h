// SPDX-License-Identifier: Apache-2.0
// The help page of each verb, in the sections of a manual page. Options are written where they are
// parsed and handed in, so that the page cannot differ from them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace trivet {

struct HelpPage {
  std::string_view verb;         // empty for the program itself
  std::string_view summary;      // behind the name in NAME
  std::string_view synopsis;     // behind "trivet "
  std::string_view description;  // paragraphs with line breaks
  std::string_view exit_status;  // empty for the usual one
  std::string_view examples;
};

// The page of a verb, or nullptr. "daemon verb" is the page of nouns and verbs that plugins add.
const HelpPage* help_page(std::string_view verb);
const std::vector<HelpPage>& help_pages();

// The page as text; `options` is the body of its OPTIONS section.
std::string render(const HelpPage& page, const std::string& options);

}  // namespace trivet
