// SPDX-License-Identifier: Apache-2.0
#include "query/budget.h"

#include <malloc.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <utility>

namespace trivet {
namespace {

thread_local Budget* budget_in_force = nullptr;

// To ask for the time costs about as much as one of these allocations.
constexpr std::size_t kLargePiece = 16 << 10;
constexpr unsigned kPiecesBetweenLooks = 256;

void* allocate(int bytes) {
  Budget* budget = Budget::current();
  const auto wanted = static_cast<std::size_t>(bytes);
  if (budget && (!budget->in_time(wanted) || !budget->charge(wanted))) return nullptr;
  void* memory = std::malloc(wanted);
  if (!budget) return memory;
  budget->release(wanted);
  if (memory && !budget->charge(malloc_usable_size(memory))) {
    std::free(memory);
    return nullptr;
  }
  return memory;
}

void release(void* memory) {
  if (Budget* budget = Budget::current()) budget->release(malloc_usable_size(memory));
  std::free(memory);
}

void* reallocate(void* memory, int bytes) {
  Budget* budget = Budget::current();
  const std::size_t before = malloc_usable_size(memory), wanted = static_cast<std::size_t>(bytes);
  if (budget && wanted > before && (!budget->in_time(wanted) || !budget->charge(wanted - before))) {
    return nullptr;
  }
  void* moved = std::realloc(memory, wanted);
  if (!budget) return moved;
  if (wanted > before) budget->release(wanted - before);
  if (!moved) return nullptr;
  // The few bytes that the allocator rounds up by are not refused any more.
  budget->release(before);
  if (!budget->charge(malloc_usable_size(moved))) budget->charge(wanted);
  return moved;
}

int size_of(void* memory) {
  return static_cast<int>(malloc_usable_size(memory));
}

int round_up(int bytes) {
  return (bytes + 7) & ~7;
}

int initialize(void*) {
  return SQLITE_OK;
}

void shut_down(void*) {}

}  // namespace

Budget::Budget(std::size_t bytes, std::function<bool()> over)
    : bytes_(bytes), over_(std::move(over)) {
  budget_in_force = this;
}

Budget::~Budget() {
  budget_in_force = nullptr;
}

Budget* Budget::current() {
  return budget_in_force;
}

bool Budget::charge(std::size_t bytes) {
  if (bytes > bytes_ - std::min(used_, bytes_)) {
    exceeded_ = true;
    return false;
  }
  used_ += bytes;
  most_ = std::max(most_, used_);
  return true;
}

bool Budget::in_time(std::size_t bytes) {
  if (bytes < kLargePiece && ++small_pieces_ < kPiecesBetweenLooks) return true;
  small_pieces_ = 0;
  return !over_();
}

// SQLite may free what it allocated before the budget was in force.
void Budget::release(std::size_t bytes) {
  used_ -= std::min(used_, bytes);
}

void limit_sqlite_memory() {
  static std::once_flag once;
  std::call_once(once, [] {
    static const sqlite3_mem_methods methods = {allocate, release,    reallocate, size_of,
                                                round_up, initialize, shut_down,  nullptr};
    sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    // Its own count of memory would be a lock that all queries share.
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
  });
}

}  // namespace trivet
