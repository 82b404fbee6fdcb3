// SPDX-License-Identifier: Apache-2.0
#include "trivet/record.h"

#include <algorithm>

namespace trivet {

const Column* RecordSchema::find(std::string_view name) const {
  auto found = std::ranges::find(columns, name, &Column::name);
  return found == columns.end() ? nullptr : &*found;
}

}  // namespace trivet
