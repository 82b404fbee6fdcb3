// SPDX-License-Identifier: Apache-2.0
// Parts of a table that lie in files, as far as one query has read them. What it has read is
// charged to its budget and stays at hand as long as half of that is free. Owned by the query, on
// its thread.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "records/stored_segment.h"

namespace trivet {

class StoredParts {
 public:
  // `now` is what times of an earlier boot are moved to.
  StoredParts(const RecordSchema& schema, const BootClock& now) : schema_(&schema), now_(now) {}

  // nullptr if the file cannot be read.
  std::shared_ptr<const StoredSegment::Description> describe(const StoredSegment& stored);
  // With these columns at least. nullptr as above; std::bad_alloc past the budget.
  std::shared_ptr<const Segment> load(const StoredSegment& stored,
                                      const std::vector<std::size_t>& columns);

 private:
  struct Kept {
    std::shared_ptr<const StoredSegment::Description> description;
    std::shared_ptr<const Segment> segment;
    std::vector<std::size_t> columns;  // of the segment, in order
  };
  // Lets go of what nobody holds, unless `bytes` more still leave half of the budget.
  void make_room(std::size_t bytes);

  const RecordSchema* schema_;
  const BootClock now_;
  std::unordered_map<const StoredSegment*, Kept> kept_;
};

}  // namespace trivet
