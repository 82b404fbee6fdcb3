// SPDX-License-Identifier: Apache-2.0
// Which policies were in force, newest first, and whether the present one waits to be confirmed.
// Plugin's worker thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "network/policy_file.h"

namespace trivet::network {

struct Revision {
  std::uint64_t number = 0;  // counts from 1
  std::string source;        // where it came from, for people
  std::uint64_t since_ns = 0;
  std::shared_ptr<const Policy> policy;
};

class Revisions {
 public:
  // A policy has taken force. What was waited for is settled by that.
  const Revision& add(std::shared_ptr<const Policy> policy, std::string source,
                      std::uint64_t now_ns);

  // The one in force; there is one from start() on.
  const Revision& present() const { return kept_.front(); }
  // The one that a rollback returns to, or nullptr.
  const Revision* before() const { return kept_.size() > 1 ? &kept_[1] : nullptr; }

  // The present one must be confirmed until then.
  void expect_confirmation(std::uint64_t deadline_ns) { deadline_ns_ = deadline_ns; }
  bool waiting() const { return deadline_ns_.has_value(); }
  bool overdue(std::uint64_t now_ns) const { return deadline_ns_ && now_ns >= *deadline_ns_; }
  void confirm() { deadline_ns_.reset(); }

  // As JSON, newest first.
  std::string to_json(std::uint64_t now_ns) const;

 private:
  // A policy of 10,000 rules takes some megabytes.
  static constexpr std::size_t kKept = 4;

  std::deque<Revision> kept_;
  std::uint64_t last_number_ = 0;
  std::optional<std::uint64_t> deadline_ns_;
};

// The text as a JSON string.
std::string json_text(std::string_view text);

}  // namespace trivet::network
