// SPDX-License-Identifier: Apache-2.0
// Batches of lines that wait on disk to be sent, oldest first, within a limit. They outlive the
// process. Owned by one sink, on its thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet {

class Spool {
 public:
  // Takes over a folder that this process may write: learns what waits there. Fails if another
  // process, or another spool of this one, uses it.
  static Result<std::unique_ptr<Spool>> open(UniqueFd folder, std::uint64_t max_bytes);

  // Keeps a batch, lasting once this has returned; the oldest ones make room for it.
  Result<void> push(std::string_view lines, std::uint64_t records);
  // Records that the limit cost since the last call.
  std::uint64_t take_lost() { return std::exchange(lost_, 0); }
  bool empty() const { return batches_.empty(); }
  std::uint64_t bytes() const { return bytes_; }
  // Of the oldest batch; there must be one.
  std::uint64_t number() const { return batches_.front().number; }
  std::uint64_t records() const { return batches_.front().records; }
  Result<std::string> front() const;
  void pop();

  // A batch by the name of its file, "0000000000000000042-1000.batch": its number and how many
  // records there are. False for any other name.
  struct Batch {
    std::uint64_t number = 0, records = 0, bytes = 0;
  };
  static bool parse(std::string_view name, Batch& batch);
  static std::string name(const Batch& batch);

 private:
  Spool(UniqueFd folder, std::uint64_t max_bytes)
      : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  Result<void> take_over();
  void make_room(std::uint64_t bytes);

  const UniqueFd folder_;
  const std::uint64_t max_bytes_;
  std::deque<Batch> batches_;
  std::uint64_t bytes_ = 0, last_number_ = 0, lost_ = 0;
};

}  // namespace trivet
