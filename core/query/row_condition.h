// SPDX-License-Identifier: Apache-2.0
// An SQL condition over the columns of one table, judged on records that are on their way: what
// stands behind WHERE in a query means the same here. Stateless; any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "records/format.h"
#include "records/row.h"
#include "trivet/result.h"

namespace trivet {

// Whether the condition can be judged on records of that type. The error is for the person who
// wrote it.
Result<void> check_condition(const std::string& condition, const RecordSchema& schema);

// For each of these rows, all of one type, whether the condition holds. Error if SQLite could not
// say so within a second, such as for a row whose text is no JSON but is taken for it.
Result<std::vector<bool>> judge_condition(const std::string& condition, std::span<const Row> rows,
                                          const Origin& origin);

}  // namespace trivet
