// SPDX-License-Identifier: Apache-2.0
#include "query/sql_connection.h"

#include <sqlite3.h>

#include <algorithm>
#include <set>

#include "query/engine.h"
#include "query/percentile.h"
#include "query/text_functions.h"
#include "text/escape.h"
#include "trivet/config.h"

namespace trivet {
namespace {

// Instructions of SQLite's machine between two looks at whether to stop: some two microseconds, of
// which a look takes a fiftieth. Each may be a call that takes much longer.
constexpr int kInstructionsBetweenLooks = 200;

// More than a row of an answer may have: that is refused with a better sentence.
constexpr int kMaxValueBytes = 64 << 20;

struct Limit {
  int id;
  int value;
};
// What nobody needs in order to ask, and what keeps one statement from being a program.
constexpr Limit kLimits[] = {{SQLITE_LIMIT_LENGTH, kMaxValueBytes},
                             {SQLITE_LIMIT_SQL_LENGTH, static_cast<int>(kMaxStatementBytes)},
                             {SQLITE_LIMIT_COLUMN, 1000},
                             {SQLITE_LIMIT_EXPR_DEPTH, 100},
                             {SQLITE_LIMIT_COMPOUND_SELECT, 50},
                             {SQLITE_LIMIT_VDBE_OP, 100'000},
                             {SQLITE_LIMIT_FUNCTION_ARG, 64},
                             {SQLITE_LIMIT_ATTACHED, 0},
                             {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
                             {SQLITE_LIMIT_VARIABLE_NUMBER, 0},
                             {SQLITE_LIMIT_TRIGGER_DEPTH, 0},
                             {SQLITE_LIMIT_WORKER_THREADS, 0}};

// SQLite's own table-valued functions that are of use here: for columns that hold JSON.
constexpr std::string_view kUsefulTables[] = {"json_each", "json_tree"};
// Functions that reach beyond the query, that make it large out of nothing, or one call of which
// may take minutes.
constexpr std::string_view kRefusedFunctions[] = {"load_extension", "fts3_tokenizer", "sqlite_log",
                                                  "zeroblob",       "randomblob",     "writefile",
                                                  "readfile",       "edit",           "json_patch"};

int compare(void*, int left_bytes, const void* left, int right_bytes, const void* right) {
  return compare_moments({static_cast<const char*>(left), static_cast<std::size_t>(left_bytes)},
                         {static_cast<const char*>(right), static_cast<std::size_t>(right_bytes)});
}

Cell cell_of(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return sqlite3_column_int64(statement, column);
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_NULL:
      return {};
    default:
      break;
  }
  auto text = static_cast<const char*>(sqlite3_column_blob(statement, column));
  const int bytes = sqlite3_column_bytes(statement, column);
  return std::string_view(text ? text : "", static_cast<std::size_t>(bytes));
}

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Error no_table(std::string_view name) {
  return Error{"there is no table " + std::string(name) +
               " here: \"SELECT DISTINCT table_name FROM columns\" lists those there are"};
}

// The word behind a prefix of SQLite's message; empty if the message is another one.
std::string named_in(const std::string& message, std::string_view prefix) {
  if (!message.starts_with(prefix)) return {};
  std::string name = message.substr(prefix.size());
  if (auto dot = name.rfind('.'); dot != name.npos) name.erase(0, dot + 1);
  return name;
}

}  // namespace

SqlConnection::SqlConnection(std::vector<TableModule>& modules, std::function<bool()> stopped)
    : modules_(modules), stopped_(std::move(stopped)) {}

SqlConnection::~SqlConnection() {
  sqlite3_close(connection_);
}

Result<std::unique_ptr<SqlConnection>> SqlConnection::open(std::vector<TableModule>& modules,
                                                           std::function<bool()> stopped) {
  std::unique_ptr<SqlConnection> made(new SqlConnection(modules, std::move(stopped)));
  int result =
      sqlite3_open_v2(":memory:", &made->connection_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX, nullptr);
  sqlite3* connection = made->connection_;
  const auto also = [&result](int next) {
    if (result == SQLITE_OK) result = next;
  };
  if (connection) {
    for (const auto& [id, value] : kLimits) sqlite3_limit(connection, id, value);
    also(sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr));
    also(sqlite3_db_config(connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr));
    // Sorters must not write files: the memory limit decides instead.
    also(sqlite3_exec(connection, "PRAGMA temp_store = MEMORY", nullptr, nullptr, nullptr));
    also(sqlite3_create_collation(connection, kMomentCollation, SQLITE_UTF8, nullptr, compare));
    also(add_percentiles(connection));
    also(add_text_functions(connection));
    for (auto& module : modules) also(add_table(connection, module));
    // What the authorizer would take for a write is done once before it is there.
    also(sqlite3_exec(connection, "SELECT 1 FROM json_each('[]'), json_tree('[]')", nullptr,
                      nullptr, nullptr));
    also(sqlite3_set_authorizer(connection, authorize, made.get()));
    sqlite3_progress_handler(connection, kInstructionsBetweenLooks, progress, made.get());
  }
  if (result != SQLITE_OK)
    return Error{std::string("cannot prepare SQLite: ") + sqlite3_errstr(result)};
  return made;
}

bool SqlConnection::known_table(std::string_view name) const {
  return std::ranges::find(kUsefulTables, name) != std::end(kUsefulTables) ||
         std::ranges::any_of(modules_, [&](const auto& m) { return m.schema->table == name; });
}

int SqlConnection::authorize(void* data, int action, const char* first, const char* second,
                             const char*, const char*) {
  auto& self = *static_cast<SqlConnection*>(data);
  // To declare a table SQLite pretends to write its own catalogue.
  if (std::ranges::any_of(self.modules_, &TableModule::declaring)) return SQLITE_OK;
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_READ:
      // Without a column it may be the name of a WITH clause, and nothing is read but the number of
      // rows.
      if (!first || !second || *second == 0 || self.known_table(first)) return SQLITE_OK;
      self.refusal_ = no_table(first).message;
      return SQLITE_DENY;
    case SQLITE_FUNCTION:
      if (!second || std::ranges::find(kRefusedFunctions, second) == std::end(kRefusedFunctions)) {
        return SQLITE_OK;
      }
      self.refusal_ = std::string("the function ") + second + "() cannot be used here";
      return SQLITE_DENY;
    default:
      self.refusal_ = "a query only reads: write a SELECT statement";
      return SQLITE_DENY;
  }
}

int SqlConnection::progress(void* data) {
  return static_cast<SqlConnection*>(data)->stopped_() ? 1 : 0;
}

Error SqlConnection::explained(const std::string& sql) const {
  const int code = sqlite3_errcode(connection_);
  std::string message = sqlite3_errmsg(connection_);
  const bool refused = code == SQLITE_AUTH || message.starts_with("not authorized to use function");
  if (refused && !refusal_.empty()) return Error{refusal_};
  if (code == SQLITE_TOOBIG && sql.size() > kMaxStatementBytes) {
    return Error{"the statement is longer than " + std::to_string(kMaxStatementBytes) +
                 " bytes: write a shorter one"};
  }
  // SQLite's own tables want to be declared first, which is refused. It does not name all of them.
  if (auto table = named_in(message, "vtable constructor failed: "); !table.empty())
    return no_table(table);
  if (code == SQLITE_ERROR && message == "not authorized") return no_table("pragma_...");
  std::string where;
  Place place;
  if (const int offset = sqlite3_error_offset(connection_); offset >= 0) {
    place.column = static_cast<std::uint32_t>(offset) + 1;
    where = " (at character " + std::to_string(place.column) + ")";
  }
  std::vector<std::string> names;
  std::string help;
  if (auto table = named_in(message, "no such table: "); !table.empty()) {
    for (const auto& module : modules_) names.emplace_back(module.schema->table);
    std::ranges::sort(names);
    const std::string meant = nearest(table, names);
    for (const auto& name : names) help += (help.empty() ? "the tables are " : ", ") + name;
    if (!meant.empty()) help = "did you mean " + meant + "?";
  } else if (auto column = named_in(message, "no such column: "); !column.empty()) {
    // Only those that the statement has looked at so far.
    for (const auto& module : modules_) {
      if (!module.rows) continue;
      for (const auto& known : module.rows->columns()) names.push_back(known.name);
    }
    const std::string meant = nearest(column, names);
    help = meant.empty() ? "\"SELECT table_name, name, meaning FROM columns\" lists those there "
                           "are; text goes in 'single quotes'"
                         : "did you mean " + meant + "?";
  } else if (code == SQLITE_TOOBIG) {
    help = "a value has at most " + std::to_string(kMaxValueBytes >> 20) + " MiB";
  } else if (message.find("may not be modified") != message.npos) {
    help = "a query only reads, write a SELECT statement";
  } else if (code == SQLITE_ERROR && message.find("syntax error") != message.npos) {
    help = "SQL is SQLite's: https://www.sqlite.org/lang_select.html";
  }
  return Error{printable(message) + where + (help.empty() ? "" : ": " + help), 0, place};
}

Result<bool> SqlConnection::select(const std::string& sql, RowSink& sink) {
  if (const auto at = sql.find('\0'); at != sql.npos) {
    return Error{"a statement is text without NUL bytes: take away the one behind character " +
                 std::to_string(at)};
  }
  sqlite3_stmt* prepared = nullptr;
  const char* rest = nullptr;
  const int length = static_cast<int>(std::min<std::size_t>(sql.size(), kMaxStatementBytes + 1));
  int result = sqlite3_prepare_v3(connection_, sql.data(), length, 0, &prepared, &rest);
  Statement statement(prepared);
  if (result == SQLITE_INTERRUPT) return false;
  if (result != SQLITE_OK) return explained(sql);
  if (!statement) return Error{"the query is empty: write a SELECT statement"};
  const std::string behind(rest, sql.data() + length);
  result = sqlite3_prepare_v3(connection_, behind.data(), static_cast<int>(behind.size()), 0,
                              &prepared, nullptr);
  const Statement second(prepared);
  if (result != SQLITE_OK || second) {
    return Error{"a query is one statement: take away what follows the first semicolon"};
  }
  const int count = sqlite3_column_count(statement.get());
  if (sqlite3_stmt_readonly(statement.get()) == 0 || count == 0) {
    return Error{"a query only reads: write a SELECT statement"};
  }
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    const char* name = sqlite3_column_name(statement.get(), i);
    names.emplace_back(name ? name : "");
  }
  if (!sink.columns(names)) return false;
  std::vector<Cell> cells(static_cast<std::size_t>(count));
  while ((result = sqlite3_step(statement.get())) == SQLITE_ROW) {
    for (int i = 0; i < count; ++i)
      cells[static_cast<std::size_t>(i)] = cell_of(statement.get(), i);
    if (!sink.row(cells)) return false;
  }
  if (result == SQLITE_INTERRUPT) return false;
  if (result != SQLITE_DONE) return explained(sql);
  return true;
}

}  // namespace trivet
