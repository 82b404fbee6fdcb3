// SPDX-License-Identifier: Apache-2.0
// Any bytes as a policy file: they are refused with a sentence, or they compile to tables that say
// what the rules say.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "config/toml_file.h"
#include "network/policy_compiler.h"
#include "policy_model.h"

namespace {

using trivet::network::Question;

// About the edges of what the policy names, a few dozen at most.
std::vector<Question> questions(const trivet::network::Policy& policy) {
  std::vector<Question> asked;
  for (std::size_t i = 0; i < policy.rules.size() && asked.size() < 64; ++i) {
    const auto& rule = policy.rules[i];
    Question question;
    question.direction = rule.direction;
    if (!rule.services.empty()) {
      question.protocol = rule.services.back().protocol;
      question.port = rule.services.back().high;
      if (question.protocol == 0) question.protocol = 6;
    }
    if (question.protocol == 1 || question.protocol == 58) question.port &= 0xff;
    if (!rule.subjects.empty()) {
      question.selectors.insert(rule.subjects.front().begin(), rule.subjects.front().end());
    }
    for (const auto& set : policy.address_sets) {
      for (const auto* ranges : {&set.in, &set.out}) {
        if (ranges->empty()) continue;
        question.family = ranges->back().family;
        question.address = ranges->back().address;
        asked.push_back(question);
        question.no_ports = !question.no_ports;
      }
    }
    asked.push_back(question);
  }
  return asked;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  trivet::NoFiles files;
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto table = trivet::parse_toml("policy.toml", text, files);
  if (!table) return 0;
  const std::vector<trivet::TextFile> sets = {{"/sets/feed.txt", text}};
  auto policy = trivet::network::read_policy(**table, sets);
  if (!policy) {
    if (policy.error().message.empty()) std::abort();
    return 0;
  }
  auto compiled = trivet::network::compile(*policy);
  if (!compiled) return 0;
  for (const auto& question : questions(*policy)) {
    if (by_tables(*compiled, question) != by_rules(*policy, question)) std::abort();
  }
  return 0;
}
