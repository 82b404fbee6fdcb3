// SPDX-License-Identifier: Apache-2.0
#include "query/query_job.h"

#include <cerrno>
#include <utility>

namespace trivet {
namespace {

// Rows are handed over in parts of about this size.
constexpr std::size_t kPartBytes = 64 << 10;
// With this much waiting for the client, the query waits too.
constexpr std::size_t kMaxReadyBytes = 1 << 20;
// Two bodies of the largest size that is recorded fit into one row.
constexpr std::size_t kMaxRowBytes = 33 << 20;

// The job may stay for long when its query has ended; clear() alone would keep the memory.
void give_back(std::string& text) {
  std::string().swap(text);
}

}  // namespace

bool QueryJob::take(std::string& out) {
  bool more;
  {
    std::lock_guard lock(mutex_);
    more = !finished_;
    out += ready_;
    more ? ready_.clear() : give_back(ready_);
  }
  taken_.notify_one();
  return more;
}

void QueryJob::cancel() {
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    give_back(ready_);
  }
  taken_.notify_one();
}

bool QueryJob::columns(const std::vector<std::string>& names) {
  text_->begin(written_, names);
  return true;
}

bool QueryJob::row(std::span<const Cell> cells) {
  std::size_t bytes = 0;
  for (const auto& cell : cells) {
    if (auto text = std::get_if<std::string_view>(&cell)) bytes += text->size();
  }
  if (bytes > kMaxRowBytes) {
    refusal_ = Error{"a row of the answer is larger than " + std::to_string(kMaxRowBytes >> 20) +
                         " MiB: ask for fewer columns, or for a part of the text with substr()",
                     EMSGSIZE};
    return false;
  }
  text_->row(written_, cells);
  return written_.size() < kPartBytes || hand_over();
}

void QueryJob::finish(Result<void> result) {
  if (refusal_) result = *refusal_;
  text_->pause(written_);
  if (result) text_->end(written_);
  {
    // Whoever still reads gets it; the query has ended and waits for nobody.
    std::lock_guard lock(mutex_);
    if (!cancelled_) ready_ += written_;
    give_back(written_);
    result_ = std::move(result);
    finished_ = true;
  }
  wake_();
}

bool QueryJob::hand_over() {
  text_->pause(written_);
  {
    std::unique_lock lock(mutex_);
    const bool room = taken_.wait_until(
        lock, deadline_, [&] { return cancelled_ || ready_.size() < kMaxReadyBytes; });
    if (!room || cancelled_) return false;
    ready_ += written_;
  }
  written_.clear();
  wake_();
  return true;
}

}  // namespace trivet
