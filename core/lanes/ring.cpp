// SPDX-License-Identifier: Apache-2.0
#include "lanes/ring.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <utility>

namespace trivet::lanes {
namespace {

// In front of each record: its length with two flags, and a word of the kernel's own.
struct RecordHead {
  std::uint32_t length;
  std::uint32_t page_offset;
};
static_assert(sizeof(RecordHead) == BPF_RINGBUF_HDR_SZ);

std::size_t page_size() {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

RingCursor::RingCursor(const RingMemory& memory)
    : memory_(memory), at_(__atomic_load_n(memory.consumed, __ATOMIC_RELAXED)) {
  next_ = mark_ = released_ = at_;
}

void RingCursor::mark() {
  mark_ = __atomic_load_n(memory_.produced, __ATOMIC_ACQUIRE);
}

RingCursor::Head RingCursor::peek(std::span<const std::byte>& record) {
  while (at_ < mark_) {
    // A head never crosses the end: it is as long as its alignment.
    const std::size_t offset = at_ & (memory_.bytes - 1);
    const auto* head = reinterpret_cast<const RecordHead*>(memory_.data + offset);
    const auto length = __atomic_load_n(&head->length, __ATOMIC_ACQUIRE);
    if (length & BPF_RINGBUF_BUSY_BIT) return Head::busy;
    const std::size_t size = length & ~BPF_RINGBUF_DISCARD_BIT;
    next_ = at_ + ((sizeof(RecordHead) + size + 7) & ~std::size_t{7});
    // The kernel never writes such a length: whatever is there now, nothing after it can be found.
    if (next_ > mark_) {
      next_ = mark_;
      record = {};
      return Head::record;
    }
    if (!(length & BPF_RINGBUF_DISCARD_BIT)) {
      record = whole(offset + sizeof(RecordHead), size);
      return Head::record;
    }
    at_ = next_;
  }
  return Head::none;
}

std::span<const std::byte> RingCursor::whole(std::size_t offset, std::size_t size) {
  offset &= memory_.bytes - 1;
  const std::size_t before_end = memory_.bytes - offset;
  if (size <= before_end) return {memory_.data + offset, size};
  crossing_.assign(memory_.data + offset, memory_.data + memory_.bytes);
  crossing_.insert(crossing_.end(), memory_.data, memory_.data + (size - before_end));
  return crossing_;
}

void RingCursor::release() {
  if (released_ == at_) return;
  // A producer wakes us if it finds its record to be the next one: it must see where we are before
  // we look again for what it has written, so a store that may wait does not do.
  __atomic_exchange_n(memory_.consumed, at_, __ATOMIC_SEQ_CST);
  released_ = at_;
}

Result<MappedRing> MappedRing::map(UniqueFd fd, std::size_t bytes) {
  if (!std::has_single_bit(bytes)) return Error{"a ring's size is not a power of two", EINVAL};
  const std::size_t page = page_size();
  MappedRing ring(std::move(fd));
  void* ours = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd_.get(), 0);
  if (ours == MAP_FAILED) return system_error(errno, "cannot map a ring");
  ring.memory_.consumed = static_cast<std::uint64_t*>(ours);
  void* kernels = ::mmap(nullptr, page + bytes, PROT_READ, MAP_SHARED, ring.fd_.get(),
                         static_cast<off_t>(page));
  if (kernels == MAP_FAILED) return system_error(errno, "cannot map a ring");
  ring.memory_.produced = static_cast<const std::uint64_t*>(kernels);
  ring.memory_.data = static_cast<const std::byte*>(kernels) + page;
  ring.memory_.bytes = bytes;
  return ring;
}

MappedRing::~MappedRing() {
  const std::size_t page = page_size();
  if (memory_.consumed) ::munmap(memory_.consumed, page);
  if (memory_.produced)
    ::munmap(const_cast<std::uint64_t*>(memory_.produced), page + memory_.bytes);
}

MappedRing::MappedRing(MappedRing&& other) noexcept
    : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, {})) {}

}  // namespace trivet::lanes
