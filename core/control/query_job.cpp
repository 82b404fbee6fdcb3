// SPDX-License-Identifier: Apache-2.0
#include "control/query_job.h"

#include "control/request.h"

namespace trivet {
namespace {

// Rows are handed over in lines of about this size.
constexpr std::size_t kLineBytes = 64 << 10;
// With this much waiting for the client, the query waits too.
constexpr std::size_t kMaxReadyBytes = 1 << 20;

}  // namespace

bool QueryJob::take(std::string& out) {
  bool more;
  {
    std::lock_guard lock(mutex_);
    more = !finished_;
    out += ready_;
    ready_.clear();
  }
  taken_.notify_one();
  return more;
}

void QueryJob::cancel() {
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  taken_.notify_one();
}

bool QueryJob::columns(const std::vector<std::string>& names) {
  return hand_over(write_columns(names));
}

bool QueryJob::row(std::span<const Cell> cells) {
  append_row(rows_, cells);
  return rows_.size() < kLineBytes || hand_over(end_rows(std::exchange(rows_, {})));
}

void QueryJob::finish(const Result<void>& result) {
  if (!rows_.empty()) hand_over(end_rows(std::exchange(rows_, {})));
  hand_over(result ? write_end() : write_error(result.error()));
  {
    std::lock_guard lock(mutex_);
    finished_ = true;
  }
  wake_();
}

bool QueryJob::hand_over(std::string&& text) {
  {
    std::unique_lock lock(mutex_);
    taken_.wait(lock, [&] { return cancelled_ || ready_.size() < kMaxReadyBytes; });
    if (cancelled_) return false;
    ready_ += text;
  }
  wake_();
  return true;
}

}  // namespace trivet
