// SPDX-License-Identifier: Apache-2.0
// The named sets of a policy, and what rules say of subjects and peers by name or in place. Used
// while a policy is read; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "network/policy_file.h"

namespace trivet::network {

class PolicySets {
 public:
  // Both outlive this.
  PolicySets(Policy& policy, const std::vector<TextFile>& files) : policy_(policy), files_(files) {}

  // Reads the table [set]: [set.cidr.NAME] and [set.subject.NAME].
  Result<void> read(const Config& table);

  // What `peer = ...` of a rule says: ranges, entities, "@set", each with "!" an exception.
  Result<Peers> peers(const std::vector<std::string>& texts);
  // What `subject = "@set"` says.
  Result<std::vector<Subject>> subjects(const std::string& text) const;

 private:
  Result<void> read_addresses(const std::string& name, const Config& table);
  Result<void> read_subjects(const std::string& name, const Config& table);
  Result<void> read_file(const std::string& name, const Config& table, AddressSet& set) const;
  std::uint32_t index_of(AddressSet set);

  Policy& policy_;
  const std::vector<TextFile>& files_;
  std::map<AddressSet, std::uint32_t> indexes_;
  std::map<std::string, std::uint32_t, std::less<>> addresses_;
  std::map<std::string, std::vector<Subject>, std::less<>> subjects_;
};

// The subject that a table such as { unit = "nginx.service", user = "www-data" } says.
Result<Subject> read_subject(const Config& table);

}  // namespace trivet::network
