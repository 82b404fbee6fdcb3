// SPDX-License-Identifier: Apache-2.0
// The table `columns`: what can be asked for, by table.
#pragma once

#include <string>
#include <vector>

#include "query/live_table.h"
#include "trivet/record.h"

namespace trivet {

#define TRIVET_COLUMN_ROW_COLUMNS(X, R)                                           \
  X(R, std::string, table_name, none, always, "", "Table")                        \
  X(R, std::string, name, none, always, "", "Column")                             \
  X(R, std::string, type, none, always, "", "SQL type")                           \
  X(R, std::string, unit, none, always, "", "Unit of the number; empty for none") \
  X(R, std::string, otel, none, detail, "",                                       \
    "OpenTelemetry attribute name; empty where there is none")                    \
  X(R, std::string, meaning, none, always, "", "What it says")

TRIVET_RECORD(ColumnRow, "columns", 1, "The columns of every table", TRIVET_COLUMN_ROW_COLUMNS);

// Of these tables.
LiveTable column_table(std::vector<const RecordSchema*> schemas);

}  // namespace trivet
