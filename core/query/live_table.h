// SPDX-License-Identifier: Apache-2.0
// A table that is made anew for each query that names it: columns declared as a record's, and a
// function that lists the rows there are now. Nothing else is needed for a new one.
#pragma once

#include <functional>

#include "trivet/record.h"

namespace trivet {

struct LiveTable {
  const RecordSchema* schema;
  // Calls `visit` for each row, a struct of the schema's type. Any thread.
  std::function<void(const std::function<void(const void* row)>& visit)> each;
};

}  // namespace trivet
