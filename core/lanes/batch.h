// SPDX-License-Identifier: Apache-2.0
// Events of one round of the reader, in time order. Owns their bytes; moves from the reader's
// thread to whoever consumes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "event.h"

namespace trivet::lanes {

class Batch {
 public:
  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  // Of all records together.
  std::size_t bytes() const { return arena_.size(); }

  // The i-th record with its header; aligned to 8 bytes, at least a header long, valid as long as
  // the batch.
  std::span<const std::byte> record(std::size_t i) const {
    return {arena_.data() + entries_[i].offset, entries_[i].size};
  }
  const event_header& header(std::size_t i) const {
    return *reinterpret_cast<const event_header*>(arena_.data() + entries_[i].offset);
  }

  void reserve(std::size_t bytes) { arena_.reserve(bytes); }
  // Copies a record whose header has been checked.
  void add(std::span<const std::byte> record) {
    event_header header;
    std::memcpy(&header, record.data(), sizeof(header));
    entries_.push_back({header.time_ns, arena_.size(), static_cast<std::uint32_t>(record.size())});
    arena_.insert(arena_.end(), record.begin(), record.end());
    arena_.resize((arena_.size() + 7) & ~std::size_t{7});
  }
  // Records of the same time stay in the order in which they were added.
  void sort_by_time() {
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.time_ns < b.time_ns; });
  }

 private:
  struct Entry {
    std::uint64_t time_ns;
    std::size_t offset;
    std::uint32_t size;
  };
  std::vector<std::byte> arena_;
  std::vector<Entry> entries_;
};

}  // namespace trivet::lanes
