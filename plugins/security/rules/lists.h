// SPDX-License-Identifier: Apache-2.0
// Lists with the lists that they name written out. Used while rules are loaded, on that thread.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "security/rules/definitions.h"

namespace trivet::security {

class Lists {
 public:
  explicit Lists(const std::map<std::string, ListDefinition>& definitions)
      : definitions_(definitions) {}

  // The items, those of lists within it included; nullptr if there is no such list. A list within
  // itself adds nothing.
  const std::vector<Word>* find(const std::string& name) { return find(name, 0); }
  // The words of a set as a condition has it; each that names a list is replaced by its items,
  // which take its offset.
  std::variant<std::vector<Word>, ConditionProblem> expand(const std::vector<Word>& words);

 private:
  const std::vector<Word>* find(const std::string& name, std::size_t depth);

  const std::map<std::string, ListDefinition>& definitions_;
  std::map<std::string, std::vector<Word>> expanded_;
  std::size_t words_ = 0;
};

}  // namespace trivet::security
