// SPDX-License-Identifier: Apache-2.0
// Whoever wants to know what host facts learn beside the lanes' events: a capture must hold it.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "trivet/facts.h"

namespace trivet {

// A file by what tells that it is the same and unchanged.
struct ExeIdentity {
  std::uint64_t inode = 0;
  std::uint64_t ctime_ns = 0;
  std::uint64_t mtime_ns = 0;
  auto operator<=>(const ExeIdentity&) const = default;
};

using AccountNames = std::unordered_map<std::uint32_t, std::string>;

// Called on the thread that learnt it, with no lock held that a lookup takes. Must not wait.
class FactsWitness {
 public:
  virtual ~FactsWitness() = default;
  // A record of a process or socket that no lane carried, as HostFacts::apply_snapshot() takes it.
  virtual void told(std::span<const std::byte> record) = 0;
  // Around those of a snapshot of all sockets.
  virtual void socket_snapshot_begun() = 0;
  virtual void socket_snapshot_ended(std::uint64_t start_ns) = 0;
  virtual void container(const Container& container) = 0;
  virtual void environment(const TaskKey& task, const std::vector<std::string>& variables) = 0;
  virtual void exe_sha256(const ExeIdentity& exe, const std::string& hash) = 0;
  virtual void accounts(const AccountNames& users, const AccountNames& groups) = 0;
};

}  // namespace trivet
