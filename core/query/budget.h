// SPDX-License-Identifier: Apache-2.0
// How much memory one query may take, and how long. A query runs on one thread from start to end:
// what SQLite and the tables allocate on that thread is charged to the budget in force there.
#pragma once

#include <cstddef>
#include <functional>

namespace trivet {

class Budget {
 public:
  // In force on this thread until it ends; they do not nest. SQLite gets no memory any more once
  // `over` is true: it reads statements, plans and formats text without a look at anything else.
  Budget(std::size_t bytes, std::function<bool()> over);
  ~Budget();
  Budget(const Budget&) = delete;

  // The thread's budget, or nullptr outside of a query.
  static Budget* current();

  // False, and nothing charged, if that would be too much.
  bool charge(std::size_t bytes);
  void release(std::size_t bytes);
  std::size_t bytes() const { return bytes_; }
  // The most that was charged at a time.
  std::size_t most() const { return most_; }
  std::size_t left() const { return bytes_ - used_; }
  // Whether anything was ever refused.
  bool exceeded() const { return exceeded_; }
  // Whether there is time for so many bytes more, or so many steps: asks `over` before many, and
  // now and then.
  bool in_time(std::size_t bytes);

 private:
  const std::size_t bytes_;
  const std::function<bool()> over_;
  unsigned small_pieces_ = 0;  // since `over` was asked
  std::size_t used_ = 0, most_ = 0;
  bool exceeded_ = false;
};

// Has SQLite allocate within the thread's budget. Once for the process, before its first use.
void limit_sqlite_memory();

}  // namespace trivet
