// SPDX-License-Identifier: Apache-2.0
#include "outputs/http_sink.h"

#include <algorithm>

namespace trivet {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBatchBytes = 1 << 20;
constexpr std::uint64_t kBatchRecords = 1000;
// How long a batch may grow before it is sent: short enough for an alert, long enough that a
// request and two writes to the disk are shared by some records.
constexpr auto kBatchAge = 250ms;
constexpr std::chrono::milliseconds kFirstPause = 500ms, kLongestPause = 30s;
constexpr std::chrono::milliseconds kPatience = 50ms;
constexpr std::chrono::seconds kLongestRetryAfter = 300s;

// Statuses that say that this very batch will never be taken (RFC 9110, 15.5): asking again would
// hold up all that follow. Whatever else goes wrong may be put right.
bool refused_for_good(long status) {
  return status == 400 || status == 413 || status == 415 || status == 422;
}

}  // namespace

Result<std::unique_ptr<HttpSink>> HttpSink::create(const HttpTarget& target, UniqueFd spool,
                                                   const std::string& output, OutputCounts& counts,
                                                   Log& log) {
  auto post = Post::create(target);
  if (!post) return std::move(post).error();
  return std::unique_ptr<HttpSink>(
      new HttpSink(std::move(*post), std::move(spool), target.spool_bytes, output, counts, log));
}

Result<void> HttpSink::deliver(Lines& lines) {
  if (!spool_) {
    auto opened = Spool::open(UniqueFd(folder_.release()), spool_bytes_);
    if (!opened) return std::move(opened).error();
    spool_ = std::move(*opened);
    account();
  }
  const auto patience = lines.empty() ? kPatience : 0ms;
  auto collected = collect(lines);
  // Even if the disk is full: what is sent makes room.
  send(patience);
  return collected;
}

Result<void> HttpSink::collect(Lines& lines) {
  const auto full = [this] {
    return batch_.size() >= kBatchBytes || batch_records_ >= kBatchRecords;
  };
  while (full() || !lines.empty()) {
    if (full())
      if (auto kept = keep(); !kept) return kept;
    if (lines.empty()) break;
    if (batch_.empty()) batch_began_ = Clock::now();
    batch_ += lines.front().text + '\n';
    ++batch_records_;
    lines.pop_front();
  }
  if (batch_.empty() || Clock::now() - batch_began_ < kBatchAge) return {};
  return keep();
}

Result<void> HttpSink::keep() {
  auto kept = spool_->push(batch_, batch_records_);
  account();
  if (!kept) return kept;
  batch_.clear();
  batch_records_ = 0;
  return {};
}

void HttpSink::account() {
  counts_.lose(Loss::spool_full, spool_->take_lost());
  counts_.spool_bytes = spool_->bytes();
}

bool HttpSink::busy() const {
  return !batch_.empty() || post_->running() ||
         (spool_ && !spool_->empty() && Clock::now() >= next_try_);
}

void HttpSink::send(std::chrono::milliseconds patience) {
  if (!post_->running() && !spool_->empty() && Clock::now() >= next_try_) {
    auto text = spool_->front();
    if (!text) {
      counts_.lose(Loss::broken, spool_->records());
      log_.warning("a batch of records is lost: " + text.error().to_string());
      spool_->pop();
      return;
    }
    sending_ = spool_->number();
    post_->start(std::move(*text));
  }
  if (!post_->running()) return;
  if (auto outcome = post_->step(patience)) conclude(*outcome);
}

void HttpSink::conclude(const Post::Outcome& outcome) {
  if (outcome.status == 0) return retry(outcome.error, 0s);
  const std::string answer = "the receiver answered " + std::to_string(outcome.status);
  const bool taken = outcome.status >= 200 && outcome.status < 300;
  if (!taken && !refused_for_good(outcome.status)) return retry(answer, outcome.retry_after);
  if (taken) trouble_.worked();
  if (!taken) trouble_.failed(Error{answer + " and so refused a batch of records"});
  // One that had to make room meanwhile has been counted as lost.
  if (!spool_->empty() && spool_->number() == sending_) {
    if (taken)
      counts_.delivered += spool_->records();
    else
      counts_.lose(Loss::refused, spool_->records());
    spool_->pop();
    account();
  }
  pause_ = 0ms;
  next_try_ = {};
}

void HttpSink::retry(const std::string& why, std::chrono::seconds at_least) {
  ++counts_.failures;
  trouble_.failed(Error{why});
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  // A receiver that comes back is not asked by all of its hosts at once: they failed at moments of
  // their own, and keep to them.
  next_try_ = Clock::now() +
              std::max<std::chrono::milliseconds>(pause_, std::min(at_least, kLongestRetryAfter));
}

void HttpSink::finish() {
  if (!spool_ || batch_.empty()) return;
  if (auto kept = keep(); !kept) {
    counts_.lose(Loss::stopped, batch_records_);
    trouble_.failed(kept.error());
  }
}

}  // namespace trivet
