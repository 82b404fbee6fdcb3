// SPDX-License-Identifier: Apache-2.0
// A rule's output: text with %field, %field[argument] and %transformer(field) in it. Immutable; any
// thread.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "security/rules/filter.h"
#include "security/rules/source_resolver.h"
#include "trivet/value.h"

namespace trivet::security {

class OutputTemplate {
 public:
  // Why it could not be read, or the template. "%%" is a percent sign; "%20proc.name" takes the
  // room of 20 letters. A leading "*", by which Falco asks for the alert even if a field has no
  // value, is dropped: it is always so. So is %container.info, as by Falco.
  static std::variant<OutputTemplate, ConditionProblem> parse(std::string_view text,
                                                              SourceResolver& sources);

  // The text, "<NA>" where a field has no value, and the fields, without a value there.
  std::string fill(Evaluation& evaluation, Fields& fields) const;
  // The fields as written, in order.
  std::vector<std::string> fields() const;

 private:
  struct Part {
    std::string text;        // before the field
    std::string name;        // as written, without the percent sign; empty: there is none
    std::size_t source = 0;  // of the graph
    std::size_t width = 0;   // in letters; 0: as long as it is
  };
  std::vector<Part> parts_;
};

}  // namespace trivet::security
