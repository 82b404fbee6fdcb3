// SPDX-License-Identifier: Apache-2.0
// Names of users and groups, from /etc/passwd and /etc/group. Read directly: a name service may ask
// the network, and enrichment must never wait. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>

#include "facts/facts_witness.h"

namespace trivet {

class Accounts {
 public:
  explicit Accounts(std::string folder = "/etc");

  // Reads the files again if they have changed since; whether they have. A file that cannot be read
  // keeps its old names.
  bool refresh();
  void tell(FactsWitness& witness) const;
  std::optional<std::string> user_name(std::uint32_t uid) const;
  std::optional<std::string> group_name(std::uint32_t gid) const;

 private:
  struct Source {
    std::string path;
    std::int64_t modified_ns = -1;
    AccountNames names;
  };
  bool refresh(Source& source);
  std::optional<std::string> find(const Source& source, std::uint32_t id) const;

  mutable std::shared_mutex mutex_;
  Source users_;
  Source groups_;
};

}  // namespace trivet
