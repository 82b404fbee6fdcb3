// SPDX-License-Identifier: Apache-2.0
// For tests that look at what tables hold.
#pragma once

#include <string>
#include <vector>

#include "records/tables.h"

namespace trivet {

// The newest rows of these tables that pass, oldest first.
inline std::vector<Row> newest(const Tables& tables, const std::vector<std::string>& names,
                               std::size_t limit, RecordFilter filter = {}) {
  RecordScan scan(tables.spans(names), std::move(filter), limit, false);
  while (!scan.step({}, RecordScan::Clock::now())) continue;
  return scan.take();
}

}  // namespace trivet
