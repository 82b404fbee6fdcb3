// SPDX-License-Identifier: Apache-2.0
// One query of a client of the control socket: the query's thread writes its answer, the server's
// loop takes it. What waits in between is bounded, and makes the query wait. Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "query/row_sink.h"
#include "trivet/result.h"

namespace trivet {

class QueryJob final : public RowSink {
 public:
  // `wake` is called whenever there is something new to take.
  explicit QueryJob(std::function<void()> wake) : wake_(std::move(wake)) {}

  // Appends what has been written so far. False once that was all there will ever be.
  bool take(std::string& out);
  // The answer is not wanted any more.
  void cancel();
  const std::atomic<bool>& cancelled() const { return cancelled_; }

  // The query's thread: the answer's lines, see docs/control-protocol.md.
  bool columns(const std::vector<std::string>& names) override;
  bool row(std::span<const Cell> cells) override;
  // After the last row, with the query's result.
  void finish(const Result<void>& result);
  bool finished() const { return finished_; }

 private:
  bool hand_over(std::string&& text);

  const std::function<void()> wake_;
  std::string rows_;  // the query's thread: an open line of rows, or empty
  std::atomic<bool> cancelled_ = false, finished_ = false;
  std::mutex mutex_;
  std::condition_variable taken_;
  std::string ready_;
};

}  // namespace trivet
