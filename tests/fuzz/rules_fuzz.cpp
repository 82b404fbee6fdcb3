// SPDX-License-Identifier: Apache-2.0
// Rule files of any bytes: read, compiled, and their rules judged on one event of each type.
#include <cstddef>
#include <cstdint>
#include <string>

#include "quiet_facts.h"
#include "security/rules/rule_set.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace trivet;
  using namespace trivet::security;
  // What yaml-cpp does with megabytes is not of interest here.
  if (size > 64 * 1024) return 0;
  auto loaded =
      load_rules({{"fuzz.yaml", std::string(reinterpret_cast<const char*>(data), size)}}, {});
  Evaluation evaluation;
  evaluation.attach(loaded.rules.graph());
  QuietFacts facts;
  event_header header{};
  for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
    for (unsigned profile : profiles_of(type)) {
      RuleEvent event;
      event.type = type;
      event.header = &header;
      event.facts = &facts;
      event.process = facts.only;
      event.path = "/etc/shadow";
      evaluation.begin(event);
      for (const auto& candidate : loaded.rules.candidates(type, profile)) {
        evaluation.matches(candidate.filter);
        Fields fields;
        candidate.rule->output.fill(evaluation, fields);
      }
    }
  }
  return 0;
}
