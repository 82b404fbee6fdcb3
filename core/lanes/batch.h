// SPDX-License-Identifier: Apache-2.0
// Events of one round of the reader, in time order. Owns their bytes; moves from the reader's
// thread to whoever consumes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "event.h"

namespace trivet::lanes {

class Batch {
 public:
  std::size_t size() const { return places_.size(); }
  bool empty() const { return places_.empty(); }
  // Of all records together.
  std::size_t bytes() const { return used_; }

  // The i-th record with its header; aligned to 8 bytes, at least a header long, valid as long as
  // the batch.
  std::span<const std::byte> record(std::size_t i) const {
    return {&arena_[places_[i]], header(i).size};
  }
  const event_header& header(std::size_t i) const { return at(places_[i]); }

  // As new, with the memory that it has, unless that is uncommonly much. For one that was moved
  // from, too.
  void clear() {
    places_.clear();
    used_ = 0;
    if (capacity_ > kKeptBytes) arena_.reset();
    if (!arena_) capacity_ = 0;
    newest_ns_ = 0;
    sorted_ = true;
  }
  // Copies a record whose header has been checked: its size is the record's.
  void add(std::span<const std::byte> record) {
    const std::size_t room = (record.size() + 7) & ~std::size_t{7};
    if (capacity_ - used_ < room) grow(std::max(2 * capacity_, used_ + room));
    std::memcpy(&arena_[used_], record.data(), record.size());
    const std::uint64_t time_ns = at(used_).time_ns;
    sorted_ = sorted_ && time_ns >= newest_ns_;
    newest_ns_ = std::max(newest_ns_, time_ns);
    places_.push_back(used_);
    used_ += room;
  }
  // Records of the same time stay in the order in which they were added.
  void sort_by_time() {
    if (sorted_) return;
    std::stable_sort(places_.begin(), places_.end(), [this](std::size_t a, std::size_t b) {
      return at(a).time_ns < at(b).time_ns;
    });
    sorted_ = true;
  }

 private:
  static constexpr std::size_t kKeptBytes = 4 << 20;

  const event_header& at(std::size_t place) const {
    return *reinterpret_cast<const event_header*>(&arena_[place]);
  }
  void grow(std::size_t bytes) {
    auto larger = std::make_unique_for_overwrite<std::byte[]>(bytes);
    if (used_ > 0) std::memcpy(larger.get(), arena_.get(), used_);
    arena_ = std::move(larger);
    capacity_ = bytes;
  }

  std::unique_ptr<std::byte[]> arena_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::vector<std::size_t> places_;  // in the arena
  std::uint64_t newest_ns_ = 0;
  bool sorted_ = true;
};

}  // namespace trivet::lanes
