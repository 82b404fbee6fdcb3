// SPDX-License-Identifier: Apache-2.0
// What a rule concluded. The columns `rule` to `tags` print as Falco's JSON alert does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trivet/record.h"

namespace trivet {

#define TRIVET_ALERT_COLUMNS(X, R)                                                      \
  TRIVET_SUBJECT_COLUMNS(X, R)                                                          \
  X(R, std::string, rule, none, always, "", "Name of the rule that matched")            \
  X(R, std::string, priority, none, always, "", "Falco's priority, Emergency to Debug") \
  X(R, std::string, source, none, detail, "", "Source of the event: syscall")           \
  X(R, std::vector<std::string>, tags, none, detail, "", "Tags of the rule")            \
  X(R, std::string, output, none, always, "", "The rule's output template, filled in")  \
  X(R, ::trivet::Fields, output_fields, none, detail, "",                               \
    "Each field of the template with its value")                                        \
  X(R, std::uint64_t, held, none, detail, "",                                           \
    "Alerts that were held back and that this one stands for; 0: it is one itself")     \
  X(R, std::optional<::trivet::Time>, held_first, nanoseconds, detail, "",              \
    "When the first of them happened")                                                  \
  X(R, std::optional<::trivet::Time>, held_last, nanoseconds, detail, "",               \
    "When the last of them happened")

TRIVET_RECORD(Alert, "alerts", 1, "Rules that matched an event", TRIVET_ALERT_COLUMNS);

}  // namespace trivet
