// SPDX-License-Identifier: Apache-2.0
// What a policy says of a connection, twice: rule by rule as docs/policy.md has it, and by the
// tables that the kernel reads, as bpf/network/judge.bpf.h walks them. Both must agree for every
// policy. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/policy_compiler.h"
#include "network/subjects.h"

namespace trivet::network {

struct Question {
  flow_direction direction = FLOW_EGRESS;
  std::uint8_t family = 4;
  std::array<std::uint8_t, 16> address{};  // as AddressRange has it
  std::uint8_t protocol = 6;
  std::uint16_t port = 0;
  bool no_ports = false;
  std::set<Selector> selectors = {};  // that speak of the process
};

struct Answer {
  std::string rule = "(default)";
  policy_verdict verdict = POLICY_ALLOW;
  std::string audited = {};  // the first audit rule that matched before
  bool operator==(const Answer&) const = default;
};

inline bool holds(const AddressRange& range, const Question& question) {
  if (range.family != question.family) return false;
  for (int bit = 0; bit < range.prefix; ++bit) {
    if ((range.address[bit / 8] ^ question.address[bit / 8]) & (0x80 >> bit % 8)) return false;
  }
  return true;
}

inline bool holds(const AddressSet& set, const Question& question) {
  const auto around = [&](const AddressRange& range) { return holds(range, question); };
  return std::ranges::any_of(set.in, around) && std::ranges::none_of(set.out, around);
}

inline bool matches(const Policy& policy, const Rule& rule, const Question& question) {
  if (rule.direction != question.direction) return false;
  const auto around = [&](std::uint32_t set) { return holds(policy.address_sets[set], question); };
  if (!rule.peers.in.empty() && std::ranges::none_of(rule.peers.in, around)) return false;
  if (std::ranges::any_of(rule.peers.out, around)) return false;
  const bool refuses = rule.verdict == POLICY_DENY || rule.verdict == POLICY_REJECT;
  const auto served = [&](const Service& service) {
    if (service.protocol == 0) return true;
    if (service.protocol != question.protocol) return question.protocol == 255 && refuses;
    const bool shown = !question.no_ports && question.protocol != 255;
    const bool ports = question.protocol == 6 || question.protocol == 17 ||
                       question.protocol == 1 || question.protocol == 58;
    if (!ports) return true;
    if (!shown) return refuses || (service.low == 0 && service.high == 65535);
    return question.port >= service.low && question.port <= service.high;
  };
  if (!rule.services.empty() && std::ranges::none_of(rule.services, served)) return false;
  const auto speaks = [&](const Subject& subject) {
    return std::ranges::includes(question.selectors, subject);
  };
  return rule.subjects.empty() || std::ranges::any_of(rule.subjects, speaks);
}

// Rule by rule.
inline Answer by_rules(const Policy& policy, const Question& question) {
  Answer answer;
  std::set<std::uint32_t> tiers;
  for (const auto& rule : policy.rules) tiers.insert(rule.tier);
  for (const auto tier : tiers) {
    const auto first = [&](policy_verdict verdict) -> const Rule* {
      for (const auto& rule : policy.rules) {
        if (rule.tier == tier && rule.verdict == verdict && matches(policy, rule, question)) {
          return &rule;
        }
      }
      return nullptr;
    };
    if (first(POLICY_PASS)) continue;
    for (const auto verdict : {POLICY_DENY, POLICY_REJECT, POLICY_AUDIT, POLICY_ALLOW}) {
      const Rule* rule = first(verdict);
      if (!rule) continue;
      if (verdict == POLICY_AUDIT) {
        if (answer.audited.empty()) answer.audited = rule->name;
        continue;
      }
      answer.rule = rule->name;
      answer.verdict = verdict;
      return answer;
    }
  }
  answer.verdict = question.direction == FLOW_INGRESS ? policy.ingress : policy.egress;
  return answer;
}

// By the compiled tables.
inline Answer by_tables(const CompiledPolicy& compiled, const Question& question) {
  std::uint32_t peer = 0;
  int longest = -1;
  for (const auto& prefix : compiled.prefixes) {
    if (prefix.range.prefix > longest && holds(prefix.range, question)) {
      longest = prefix.range.prefix;
      peer = prefix.address_class;
    }
  }
  std::uint32_t page = POLICY_PAGE_PROTOCOL, place = question.protocol;
  if (!question.no_ports) {
    const std::uint32_t high = question.port >> 8;
    page = question.protocol == 6    ? POLICY_PAGE_TCP + high
           : question.protocol == 17 ? POLICY_PAGE_UDP + high
           : question.protocol == 1  ? +POLICY_PAGE_ICMP
           : question.protocol == 58 ? +POLICY_PAGE_ICMPV6
                                     : page;
    if (page != POLICY_PAGE_PROTOCOL) place = question.port & 0xff;
  }
  const std::uint32_t index = POLICY_PAGE(0, static_cast<std::uint32_t>(question.direction), page);
  const std::uint16_t service = compiled.pages.at(index).services[place];
  std::uint32_t next[2] = {compiled.services.at(service), 0};
  const auto cell = std::ranges::find_if(
      compiled.cells, [&](const auto& one) { return one.peer == peer && one.service == service; });
  if (peer && cell != compiled.cells.end()) {
    next[0] = cell->first_term;
  } else if (peer) {
    next[1] = compiled.peers.at(peer).first_term[question.direction];
  }

  SelectorBits speaking{};
  for (std::size_t bit = 0; bit < compiled.selectors.size(); ++bit) {
    if (question.selectors.contains(compiled.selectors[bit])) {
      speaking[bit / 64] |= 1ull << bit % 64;
    }
  }
  const auto speaks = [&](std::uint16_t subject) {
    if (subject == POLICY_SUBJECT_ANY) return true;
    for (std::size_t word = 0; word < speaking.size(); ++word) {
      if (compiled.subjects.at(subject).words[word] & ~speaking[word]) return false;
    }
    return true;
  };
  Answer answer;
  answer.verdict =
      static_cast<policy_verdict>(compiled.generation.default_verdict[question.direction]);
  std::optional<std::uint16_t> left;
  for (int step = 0; step < 2 * POLICY_LIST_MAX + 1; ++step) {
    const policy_term& a = compiled.terms.at(next[0]);
    const policy_term& b = compiled.terms.at(next[1]);
    const policy_term& term = b.order < a.order ? b : a;
    ++next[b.order < a.order];
    if (term.order == POLICY_TERM_END) return answer;
    if (left == term.tier || !speaks(term.subject)) continue;
    const std::string& name = compiled.rules->at(term.rule);
    if (term.verdict == POLICY_PASS) {
      left = term.tier;
    } else if (term.verdict == POLICY_AUDIT) {
      if (answer.audited.empty()) answer.audited = name;
    } else {
      answer.rule = name;
      answer.verdict = static_cast<policy_verdict>(term.verdict);
      return answer;
    }
  }
  answer.rule = "(more terms than the kernel walks)";
  return answer;
}

}  // namespace trivet::network
