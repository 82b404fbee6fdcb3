// SPDX-License-Identifier: Apache-2.0
// A rule's output: text with %field and %field[argument] in it. Immutable; any thread.
#pragma once

#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "security/rules/filter.h"
#include "trivet/value.h"

namespace trivet::security {

class OutputTemplate {
 public:
  // Gives a field its slot, or says why it cannot be used.
  using Resolve = std::function<std::variant<FieldUse, ConditionProblem>(
      std::string_view name, std::string_view argument, std::size_t offset)>;
  // Why it could not be read, or the template. "%%" is a percent sign. A leading "*", by which
  // Falco asks for the alert even if a field has no value, is dropped: it is always so.
  static std::variant<OutputTemplate, ConditionProblem> parse(std::string_view text,
                                                              const Resolve& resolve);

  // The text, "<NA>" where a field has no value, and the fields, without a value there.
  std::string fill(Evaluation& evaluation, Fields& fields) const;

 private:
  struct Part {
    std::string text;  // before the field
    std::string name;  // as written, without the percent sign; empty: there is none
    FieldUse use;
  };
  std::vector<Part> parts_;
};

}  // namespace trivet::security
