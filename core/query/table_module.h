// SPDX-License-Identifier: Apache-2.0
// Tables as virtual tables of SQLite, with time, equality and order pushed down to the segments.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "query/table_rows.h"
#include "records/format.h"

struct sqlite3;

namespace trivet {

// One table of a connection. Made when the connection is opened, filled when a statement first
// names it. Must outlive the connection.
struct TableModule {
  const RecordSchema* schema;
  std::function<std::unique_ptr<TableRows>()> fill;
  const Origin* origin;
  std::unique_ptr<TableRows> rows;  // once filled
  bool declaring = false;           // just now, on this thread
};

// Makes the table known to a connection under its schema's name. A result code of SQLite.
int add_table(sqlite3* connection, TableModule& module);

}  // namespace trivet
