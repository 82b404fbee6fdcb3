// SPDX-License-Identifier: Apache-2.0
// One query's connection to SQLite: an empty database in memory that knows trivet's tables and can
// do nothing but read them. On the query's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "query/row_sink.h"
#include "query/table_module.h"
#include "trivet/result.h"

struct sqlite3;

namespace trivet {

class SqlConnection {
 public:
  // The modules outlive the connection. `stopped` is asked every now and then whether to give up.
  static Result<std::unique_ptr<SqlConnection>> open(std::vector<TableModule>& modules,
                                                     std::function<bool()> stopped);
  ~SqlConnection();
  SqlConnection(const SqlConnection&) = delete;

  // The error is SQLite's sentence and place, with what helps. True if the statement ran to its
  // end.
  Result<bool> select(const std::string& sql, RowSink& sink);

 private:
  SqlConnection(std::vector<TableModule>& modules, std::function<bool()> stopped);
  Error explained(const std::string& sql) const;
  static int authorize(void* self, int action, const char* first, const char* second, const char*,
                       const char*);
  static int progress(void* self);
  bool known_table(std::string_view name) const;

  std::vector<TableModule>& modules_;
  const std::function<bool()> stopped_;
  sqlite3* connection_ = nullptr;
  std::string refusal_;  // what the authorizer refused last
};

}  // namespace trivet
