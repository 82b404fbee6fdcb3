// SPDX-License-Identifier: Apache-2.0
// The API's answers that are one JSON object. Each ends in a line feed. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "trivet/record.h"
#include "trivet/result.h"

namespace trivet {

// What there is to ask for.
std::string index_json();
std::string version_json();
// The tables of SQL with their columns, as the table `columns` has them.
std::string tables_json(const std::vector<const RecordSchema*>& schemas);
// "position" is there if the error's place has a column.
std::string error_json(const Error& error);

}  // namespace trivet
