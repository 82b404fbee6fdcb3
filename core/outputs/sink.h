// SPDX-License-Identifier: Apache-2.0
// The end of an output: takes lines to where they go. Each kind is one class; all of them are used
// by their output's thread alone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "trivet/result.h"

namespace trivet {

// A record on its way, as text without line break.
struct Line {
  std::string text;
  std::string_view table;
  int severity = 6;      // syslog's (RFC 5424, 6.2.1): 0 emergency to 7 debug
  std::size_t sent = 0;  // bytes that a stream has taken of it
};
using Lines = std::deque<Line>;

// Why a record did not arrive.
enum class Loss { queue_full, rate, condition, too_large, refused, spool_full, broken, stopped };
inline constexpr std::size_t kLosses = 8;
std::string_view name_of(Loss loss);

// Of one output, over all its lives. Any thread.
struct OutputCounts {
  std::atomic<std::uint64_t> delivered = 0, filtered = 0, failures = 0, spool_bytes = 0;
  std::array<std::atomic<std::uint64_t>, kLosses> lost{};

  void lose(Loss why, std::uint64_t records = 1) { lost[static_cast<std::size_t>(why)] += records; }
};

class Sink {
 public:
  virtual ~Sink() = default;
  // Hands lines over from the front and takes those off; returns after a fifth of a second at the
  // latest, whatever the receiver does. An error says why the first one could not go now.
  virtual Result<void> deliver(Lines& lines) = 0;
  // Whether there is more to do soon without new lines.
  virtual bool busy() const { return false; }
  // Whether it keeps lines because their receiver does not take them. Any thread.
  virtual bool failing() const { return false; }
  // The last call: keeps what can be kept.
  virtual void finish() {}
};

}  // namespace trivet
