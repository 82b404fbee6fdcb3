// SPDX-License-Identifier: Apache-2.0
// One ring buffer of the kernel (BPF_MAP_TYPE_RINGBUF, kernel/bpf/ringbuf.c) as its only consumer
// sees it. A cursor looks at records in place and gives their room back in one go: several rings
// can be merged without copying a record that is not wanted yet. Reader thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "broker/unique_fd.h"
#include "trivet/result.h"

namespace trivet::lanes {

// Where a ring lies in memory. `data` holds `bytes`, a power of two. The kernel offers to map the
// same bytes once more after them, which would make a record that crosses the end one piece; but
// every page of a ring is resident, and would count twice.
struct RingMemory {
  std::uint64_t* consumed = nullptr;        // ours
  const std::uint64_t* produced = nullptr;  // the kernel's
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

class RingCursor {
 public:
  explicit RingCursor(const RingMemory& memory);

  // Notes how far producers have come: peek() looks no further.
  void mark();
  enum class Head {
    none,    // nothing up to the mark
    busy,    // reserved before the mark, and its producer still writes it
    record,  // a record, aligned to 8 bytes, valid until release()
  };
  Head peek(std::span<const std::byte>& record);
  // Steps over the record that peek() showed.
  void pop() { at_ = next_; }
  // Gives the kernel back the room of what was stepped over.
  void release();

  // Bytes between the cursor and the mark, the kernel's own 8 for each record included.
  std::size_t waiting() const { return mark_ - at_; }

 private:
  // The record at that place in one piece.
  std::span<const std::byte> whole(std::size_t offset, std::size_t size);

  RingMemory memory_;
  std::uint64_t at_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t mark_ = 0;
  std::uint64_t released_ = 0;
  // The record that crosses the end: there is at most one between two releases.
  std::vector<std::byte> crossing_;
};

// A ring buffer map in this process's memory.
class MappedRing {
 public:
  // `bytes` is the map's max_entries.
  static Result<MappedRing> map(UniqueFd fd, std::size_t bytes);
  ~MappedRing();
  MappedRing(MappedRing&& other) noexcept;
  MappedRing& operator=(MappedRing&&) = delete;

  const RingMemory& memory() const { return memory_; }
  int fd() const { return fd_.get(); }

 private:
  explicit MappedRing(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  RingMemory memory_;
};

}  // namespace trivet::lanes
