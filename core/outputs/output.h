// SPDX-License-Identifier: Apache-2.0
// One output: follows its tables, lets through what its condition and rate allow, and hands it to
// its sink, on a thread of its own. Made and steered by the main thread; what waits in its queue
// stays there while the rest of it is exchanged.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "config/output_settings.h"
#include "outputs/sink.h"
#include "outputs/trouble.h"
#include "records/format.h"
#include "records/tables.h"

namespace trivet {

// So many a second, and so many at once. One thread.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;
  // `rate` 0: no limit.
  RateLimit(std::uint64_t rate, std::uint64_t burst)
      : rate_(static_cast<double>(rate)), burst_(static_cast<double>(burst)), tokens_(burst_) {}
  bool take(Clock::time_point now);

 private:
  double rate_, burst_, tokens_;
  Clock::time_point last_{};
};

// A record in the format that an output asks for.
Line line_of(const Row& row, OutputFormat format, const Origin& origin);

class Output {
 public:
  using Clock = std::chrono::steady_clock;

  // Follows the tables from now on, but hands nothing over before resume(). Tables and log must
  // outlive the output.
  Output(Tables& tables, OriginNow origin, Log& log, OutputSettings settings);
  // Loses what still waits; finish() first.
  ~Output();
  Output(const Output&) = delete;

  const OutputSettings& settings() const { return settings_; }
  const OutputCounts& counts() const { return *counts_; }
  // Whether what it is to hand over, or to choose, waits for somebody else's repair.
  bool failing() const {
    return trouble_.failing() || condition_trouble_.failing() || (sink_ && sink_->failing());
  }
  // For the sink to count in; lives as long as the output.
  OutputCounts& counts() { return *counts_; }

  // Ends the thread, at once but for what it is just doing. Nothing that waits is lost.
  void pause();
  // From resume() on. Only while paused. The sink before goes first.
  void replace(OutputSettings settings, std::unique_ptr<Sink> sink);
  void resume();
  // Hands over what waits as long as that is possible before the deadline; await() then ends the
  // thread and counts what is left.
  void finish(Clock::time_point deadline);
  void await();

 private:
  void run(const std::stop_token& stop);
  void choose(std::vector<Row> rows);
  std::vector<bool> judge(const std::vector<Row>& rows, const Origin& origin);
  bool own(const Row& row) const;

  Tables& tables_;
  const OriginNow origin_;
  OutputSettings settings_;
  const std::unique_ptr<OutputCounts> counts_ = std::make_unique<OutputCounts>();
  const std::shared_ptr<Follower> follower_;
  std::unique_ptr<Sink> sink_;
  Lines waiting_;  // chosen, not handed over; of the thread while it runs
  RateLimit rate_;
  Trouble condition_trouble_, trouble_;
  std::atomic<Clock::rep> deadline_ = 0;  // 0: goes on
  std::jthread thread_;
};

}  // namespace trivet
