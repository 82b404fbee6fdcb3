// SPDX-License-Identifier: Apache-2.0
#include "query/stored_parts.h"

#include <algorithm>
#include <iterator>
#include <new>

#include "query/budget.h"

namespace trivet {
namespace {

// Of a segment for each column beside its rows.
constexpr std::size_t kColumnBytes = 192;

// Something read, and its memory on the query's bill as long as anybody holds it.
template <class Content>
struct Charged {
  Content content;
  std::size_t bytes;

  Charged(Content made, std::size_t taken) : content(std::move(made)), bytes(taken) {}
  Charged(const Charged&) = delete;
  ~Charged() {
    if (Budget* budget = Budget::current()) budget->release(bytes);
  }
};

void charge(std::size_t bytes) {
  Budget* const budget = Budget::current();
  if (budget && !budget->charge(bytes)) throw std::bad_alloc();
}

void release(std::size_t bytes) {
  if (Budget* const budget = Budget::current()) budget->release(bytes);
}

bool half_is_free(std::size_t bytes) {
  const Budget* const budget = Budget::current();
  return !budget || budget->left() >= budget->bytes() / 2 + bytes;
}

}  // namespace

void StoredParts::make_room(std::size_t bytes) {
  if (!half_is_free(bytes)) {
    std::erase_if(kept_, [](const auto& kept) { return kept.second.segment.use_count() <= 1; });
  }
}

std::shared_ptr<const StoredSegment::Description> StoredParts::describe(
    const StoredSegment& stored) {
  if (const auto found = kept_.find(&stored); found != kept_.end())
    return found->second.description;
  auto description = stored.describe(*schema_, now_);
  if (!description) return nullptr;
  const std::size_t bytes = description->columns.size() * sizeof(description->columns[0]);
  make_room(bytes);
  charge(bytes);
  auto charged =
      std::make_shared<Charged<StoredSegment::Description>>(std::move(*description), bytes);
  std::shared_ptr<const StoredSegment::Description> made(charged, &charged->content);
  if (half_is_free(0)) kept_[&stored].description = made;
  return made;
}

std::shared_ptr<const Segment> StoredParts::load(const StoredSegment& stored,
                                                 const std::vector<std::size_t>& columns) {
  std::vector<std::size_t> wanted = columns;
  if (const auto found = kept_.find(&stored); found != kept_.end() && found->second.segment) {
    const auto& [description, segment, there] = found->second;
    if (std::ranges::includes(there, columns)) return segment;
    wanted.clear();
    std::ranges::set_union(there, columns, std::back_inserter(wanted));
  }
  const auto description = describe(stored);
  if (!description) return nullptr;
  std::size_t bytes = description->columns.size() * kColumnBytes, largest = 0;
  for (const std::size_t column : wanted) {
    bytes += description->columns[column].bytes;
    largest = std::max(largest, description->columns[column].bytes);
  }
  make_room(bytes + largest);
  // The largest column is there twice while it is unpacked.
  charge(bytes + largest);
  auto loaded = stored.load(*schema_, now_, wanted);
  release(loaded ? largest : bytes + largest);
  if (!loaded) return nullptr;
  auto charged =
      std::make_shared<Charged<std::shared_ptr<const Segment>>>(std::move(loaded), bytes);
  std::shared_ptr<const Segment> made(charged, charged->content.get());
  if (half_is_free(0)) {
    Kept& kept = kept_[&stored];
    kept = {description, made, std::move(wanted)};
  }
  return made;
}

}  // namespace trivet
