// SPDX-License-Identifier: Apache-2.0
// One query of a client: the query's thread writes its answer as text, the thread that serves the
// client takes it. What waits in between is bounded, and makes the query wait. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "query/row_sink.h"
#include "query/row_text.h"
#include "trivet/result.h"

namespace trivet {

class QueryJob final : public RowSink {
 public:
  // `wake` is called on the query's thread whenever there is something new to take.
  QueryJob(std::unique_ptr<RowText> text, std::function<void()> wake)
      : text_(std::move(text)), wake_(std::move(wake)) {}

  // Appends what has been written so far. False once that was all there will ever be.
  bool take(std::string& out);
  // How the query ended. After take() has returned false.
  const Result<void>& result() const { return result_; }
  // The answer is not wanted any more.
  void cancel();
  const std::atomic<bool>& cancelled() const { return cancelled_; }

  // The query's thread.
  void set_deadline(std::chrono::steady_clock::time_point deadline) override {
    deadline_ = deadline;
  }
  bool columns(const std::vector<std::string>& names) override;
  bool row(std::span<const Cell> cells) override;
  // After the last row, with the query's result.
  void finish(Result<void> result);
  bool finished() const { return finished_; }

 private:
  bool hand_over();

  // The query's thread.
  const std::unique_ptr<RowText> text_;
  const std::function<void()> wake_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  std::string written_;           // not handed over yet
  std::optional<Error> refusal_;  // of a row

  std::atomic<bool> cancelled_ = false, finished_ = false;
  std::mutex mutex_;
  std::condition_variable taken_;
  std::string ready_;
  Result<void> result_;  // set before finished_ is
};

}  // namespace trivet
