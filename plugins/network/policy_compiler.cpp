// SPDX-License-Identifier: Apache-2.0
#include "network/policy_compiler.h"

#include <algorithm>
#include <cstring>

namespace trivet::network {

namespace {

policy_row make_row(flow_direction direction, const AddressRange& peer, const Service& service) {
  policy_row row{};
  std::array<std::uint8_t, 16> mask{};
  for (int bit = 0; bit < peer.prefix; ++bit) {
    mask[bit / 8] |= static_cast<std::uint8_t>(0x80 >> bit % 8);
  }
  std::memcpy(row.address, peer.address.data(), sizeof(row.address));
  std::memcpy(row.mask, mask.data(), sizeof(row.mask));
  row.port_low = service.low;
  row.port_high = service.high;
  row.protocol = service.protocol;
  row.direction = direction;
  row.family = peer.family;
  row.subject = POLICY_SUBJECT_ANY;
  return row;
}

// The bit of a subject; a new one if it was not seen yet.
std::size_t bit_of(const Subject& subject, std::vector<Subject>& subjects) {
  const auto found = std::ranges::find(subjects, subject);
  if (found != subjects.end()) return static_cast<std::size_t>(found - subjects.begin());
  subjects.push_back(subject);
  return subjects.size() - 1;
}

// Deny wins over allow, and an audit rule is a deny that is being tried out.
int rank(const policy_row& row) {
  return row.verdict == POLICY_DENY ? 0 : row.verdict == POLICY_AUDIT ? 1 : 2;
}

Error too_many(const std::string& what, std::size_t have, std::size_t most) {
  return Error{"the policy has " + std::to_string(have) + " " + what + ", but " +
               std::to_string(most) + " fit: merge rules, address ranges or ports"};
}

}  // namespace

Result<CompiledPolicy> compile(const Policy& policy) {
  static const std::vector<AddressRange> any_peer(1);
  static const std::vector<Service> any_service(1);
  CompiledPolicy compiled;
  if (policy.rules.size() > POLICY_RULES_MAX) {
    return too_many("rules", policy.rules.size(), POLICY_RULES_MAX);
  }
  std::size_t rows = 0;
  for (const auto& rule : policy.rules) {
    rows += std::max<std::size_t>(rule.peers.size(), 1) *
            std::max<std::size_t>(rule.services.size(), 1);
  }
  if (rows > POLICY_ROWS_MAX) {
    return too_many("combinations of a rule's peers and ports", rows, POLICY_ROWS_MAX);
  }
  for (const auto& rule : policy.rules) {
    const auto index = static_cast<std::uint32_t>(compiled.rules.size());
    compiled.rules.push_back(rule.name);
    std::uint8_t subject = POLICY_SUBJECT_ANY;
    if (!rule.subjects.empty()) {
      const std::size_t bit = bit_of(rule.subjects.front(), compiled.subjects);
      if (bit >= POLICY_SUBJECTS_MAX) {
        return too_many("different subjects", bit + 1, POLICY_SUBJECTS_MAX);
      }
      subject = static_cast<std::uint8_t>(bit);
    }
    for (const auto& peer : rule.peers.empty() ? any_peer : rule.peers) {
      for (const auto& service : rule.services.empty() ? any_service : rule.services) {
        policy_row row = make_row(rule.direction, peer, service);
        row.rule = index;
        row.subject = subject;
        row.verdict = rule.verdict;
        compiled.rows.push_back(row);
      }
    }
  }
  std::ranges::stable_sort(compiled.rows, {}, rank);
  for (const auto& entry : policy.failsafe) {
    policy_row row = make_row(entry.direction, entry.peer, entry.service);
    row.rule = FLOW_RULE_FAILSAFE;
    row.verdict = POLICY_ALLOW;
    compiled.failsafe.push_back(row);
  }
  compiled.generation.rows = static_cast<std::uint32_t>(compiled.rows.size());
  compiled.generation.subjects = static_cast<std::uint32_t>(compiled.subjects.size());
  compiled.generation.default_verdict[FLOW_INGRESS] = policy.ingress;
  compiled.generation.default_verdict[FLOW_EGRESS] = policy.egress;
  compiled.generation.audit = policy.audit;
  return compiled;
}

}  // namespace trivet::network
