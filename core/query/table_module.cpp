// SPDX-License-Identifier: Apache-2.0
#include "query/table_module.h"

#include <sqlite3.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <new>
#include <vector>

#include "query/sql_columns.h"

namespace trivet {
namespace {

enum class Comparison { equal, above, below };

// What xBestIndex promised for the arguments of xFilter, in their order.
struct Plan {
  struct Term {
    std::size_t column;
    Comparison comparison;
  };
  std::vector<Term> terms;
  int order_column = -1;
  bool descending = false;
  std::vector<std::size_t> used;  // the schema's columns that will be read
};

struct VirtualTable : sqlite3_vtab {
  explicit VirtualTable(TableModule& table) : sqlite3_vtab{}, module(table) {}
  TableModule& module;
  std::vector<Plan> plans;  // by idxNum
};

struct Cursor : sqlite3_vtab_cursor {
  explicit Cursor(TableModule& table)
      : sqlite3_vtab_cursor{}, module(table), columns(table.rows->columns().data()) {}
  TableModule& module;
  const SqlColumn* columns;
  std::optional<RowScan> scan;
  std::optional<RowPlace> row;
};

// Only std::bad_alloc can come out of ours.
template <class Work>
int guarded(Work work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return SQLITE_NOMEM;
  }
}

int connect(sqlite3* connection, void* data, int, const char* const*, sqlite3_vtab** table,
            char** error) {
  return guarded([&] {
    auto& module = *static_cast<TableModule*>(data);
    if (!module.rows) module.rows = module.fill();
    const std::string declaration = sql_declaration(*module.schema, module.rows->columns());
    module.declaring = true;
    const int result = sqlite3_declare_vtab(connection, declaration.c_str());
    module.declaring = false;
    if (result == SQLITE_OK) {
      *table = new VirtualTable(module);
    } else {
      *error = sqlite3_mprintf("%s", sqlite3_errmsg(connection));
    }
    return result;
  });
}

int disconnect(sqlite3_vtab* table) {
  delete static_cast<VirtualTable*>(table);
  return SQLITE_OK;
}

// Whether a comparison that SQLite makes by this collation is the one that filters make.
bool usual_collation(const SqlColumn& column, const char* collation) {
  switch (column.form) {
    case SqlForm::integer:
    case SqlForm::moment_ns:
      return true;
    case SqlForm::moment:
      return sqlite3_stricmp(collation, kMomentCollation) == 0;
    case SqlForm::text:
    case SqlForm::address:
      return sqlite3_stricmp(collation, "BINARY") == 0;
    case SqlForm::real:
    case SqlForm::json:
      break;
  }
  return false;
}

std::optional<Comparison> comparison_of(int operation, const SqlColumn& column) {
  const bool ranges = column.form != SqlForm::text && column.form != SqlForm::address;
  switch (operation) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
      return Comparison::equal;
    case SQLITE_INDEX_CONSTRAINT_GT:
    case SQLITE_INDEX_CONSTRAINT_GE:
      return ranges ? std::optional(Comparison::above) : std::nullopt;
    case SQLITE_INDEX_CONSTRAINT_LT:
    case SQLITE_INDEX_CONSTRAINT_LE:
      return ranges ? std::optional(Comparison::below) : std::nullopt;
    default:
      return std::nullopt;
  }
}

// Bit 63 stands for that column and all behind it.
std::vector<std::size_t> used_columns(const std::vector<SqlColumn>& columns, sqlite3_uint64 mask) {
  std::vector<std::size_t> used;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if ((mask >> std::min<std::size_t>(i, 63) & 1) == 0) continue;
    if (used.empty() || used.back() != columns[i].source) used.push_back(columns[i].source);
  }
  return used;
}

int best_index(sqlite3_vtab* base, sqlite3_index_info* info) {
  return guarded([&] {
    auto& table = *static_cast<VirtualTable*>(base);
    TableRows& rows = *table.module.rows;
    const auto& columns = rows.columns();
    const auto count = static_cast<double>(rows.rows());

    // In units of one row handed over: a row that a filter skips costs a tenth of that.
    double passing = count;
    Plan plan;
    for (int i = 0; i < info->nConstraint; ++i) {
      const auto& constraint = info->aConstraint[i];
      if (!constraint.usable || constraint.iColumn < 0) continue;
      const auto number = static_cast<std::size_t>(constraint.iColumn);
      const auto comparison = comparison_of(constraint.op, columns[number]);
      if (!comparison || !usual_collation(columns[number], sqlite3_vtab_collation(info, i)))
        continue;
      plan.terms.push_back({number, *comparison});
      info->aConstraintUsage[i].argvIndex = static_cast<int>(plan.terms.size());
      passing /= *comparison == Comparison::equal ? 50 : 3;
    }
    if (info->nOrderBy == 1 && info->aOrderBy[0].iColumn >= 0) {
      const auto number = static_cast<std::size_t>(info->aOrderBy[0].iColumn);
      if (rows.can_order(columns[number])) {
        plan.order_column = info->aOrderBy[0].iColumn;
        plan.descending = info->aOrderBy[0].desc != 0;
        info->orderByConsumed = 1;
      }
    }
    plan.used = used_columns(columns, info->colUsed);
    info->idxNum = static_cast<int>(table.plans.size());
    info->estimatedCost = 1 + passing + count * 0.1;
    info->estimatedRows = static_cast<sqlite3_int64>(passing) + 1;
    table.plans.push_back(std::move(plan));
    return SQLITE_OK;
  });
}

int open_cursor(sqlite3_vtab* base, sqlite3_vtab_cursor** cursor) {
  return guarded([&] {
    *cursor = new Cursor(static_cast<VirtualTable*>(base)->module);
    return SQLITE_OK;
  });
}

int close_cursor(sqlite3_vtab_cursor* cursor) {
  delete static_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

std::string_view text_of(sqlite3_value* value) {
  auto text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  return {text ? text : "", static_cast<std::size_t>(sqlite3_value_bytes(value))};
}

// The integers closest to a number on either side.
std::pair<std::int64_t, std::int64_t> around(double number) {
  constexpr double kLimit = 9.2e18;
  if (number >= kLimit) return {static_cast<std::int64_t>(kLimit), INT64_MAX};
  if (number <= -kLimit) return {INT64_MIN, static_cast<std::int64_t>(-kLimit)};
  return {static_cast<std::int64_t>(std::floor(number)),
          static_cast<std::int64_t>(std::ceil(number))};
}

// The filter for one argument: at least what SQLite will let pass. None if the argument is of
// another type than the column's, where SQLite's own rules of conversion decide.
std::optional<RowFilter> filter_of(const SqlColumn& column, Comparison comparison,
                                   sqlite3_value* argument) {
  RowFilter filter{&column};
  const int type = sqlite3_value_type(argument);
  if (column.form == SqlForm::text || column.form == SqlForm::address) {
    if (type != SQLITE_TEXT) return std::nullopt;
    filter.entry = text_of(argument);
    if (column.form == SqlForm::address) {
      // Another spelling equals no address as text, but that is for SQLite to say.
      auto address = IpAddress::parse(*filter.entry);
      if (!address) return std::nullopt;
      filter.entry->assign(reinterpret_cast<const char*>(address->bytes.data()),
                           address->family == 4 ? 4 : 16);
    }
    return filter;
  }
  std::pair<std::int64_t, std::int64_t> bounds;
  if (column.form == SqlForm::moment) {
    MomentSpan span{};
    if (type != SQLITE_TEXT || !parse_moment(text_of(argument), span)) return std::nullopt;
    bounds = {span.first_ns, span.last_ns};
  } else if (type == SQLITE_INTEGER) {
    bounds = {sqlite3_value_int64(argument), sqlite3_value_int64(argument)};
  } else if (type == SQLITE_FLOAT) {
    bounds = around(sqlite3_value_double(argument));
  } else {
    return std::nullopt;
  }
  if (comparison != Comparison::below) filter.smallest = bounds.first;
  if (comparison != Comparison::above) filter.largest = bounds.second;
  return filter;
}

int advance(Cursor& cursor) {
  cursor.row = cursor.scan->next();
  if (!cursor.row && cursor.module.rows->stopped()) return SQLITE_INTERRUPT;
  return SQLITE_OK;
}

int filter(sqlite3_vtab_cursor* base, int plan_number, const char*, int count,
           sqlite3_value** arguments) {
  return guarded([&] {
    auto& cursor = *static_cast<Cursor*>(base);
    const Plan& plan =
        static_cast<VirtualTable*>(base->pVtab)->plans[static_cast<std::size_t>(plan_number)];
    TableRows& table = *cursor.module.rows;
    cursor.row.reset();
    std::vector<RowFilter> filters;
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      // Nothing compares with NULL.
      if (sqlite3_value_type(arguments[i]) == SQLITE_NULL) return SQLITE_OK;
      auto made =
          filter_of(table.columns()[plan.terms[i].column], plan.terms[i].comparison, arguments[i]);
      if (made) filters.push_back(std::move(*made));
    }
    std::optional<RowScan::Order> order;
    if (plan.order_column >= 0) {
      order = {&table.columns()[static_cast<std::size_t>(plan.order_column)], plan.descending};
    }
    cursor.scan.reset();
    cursor.scan.emplace(table, std::move(filters), plan.used, order);
    return advance(cursor);
  });
}

int next(sqlite3_vtab_cursor* base) {
  return guarded([&] { return advance(*static_cast<Cursor*>(base)); });
}

int at_end(sqlite3_vtab_cursor* base) {
  return static_cast<Cursor*>(base)->row ? 0 : 1;
}

void give_text(sqlite3_context* context, const std::string& text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

int column(sqlite3_vtab_cursor* base, sqlite3_context* context, int number) {
  return guarded([&] {
    auto& cursor = *static_cast<Cursor*>(base);
    const SqlColumn& column = cursor.columns[number];
    const ColumnView* copy =
        cursor.row->sorted ? &cursor.row->sorted->views[column.source] : nullptr;
    const bool copied = copy && copy->codes;
    const ColumnView& view = copied ? *copy : cursor.row->data->column(column.source);
    const std::size_t row = copied ? cursor.row->sorted_row : cursor.row->row;
    if (view.null(row)) return SQLITE_OK;
    const std::uint64_t raw = view.raw(row);
    switch (column.form) {
      case SqlForm::integer:
        sqlite3_result_int64(context, static_cast<std::int64_t>(raw));
        break;
      case SqlForm::real:
        sqlite3_result_double(context, std::bit_cast<double>(raw));
        break;
      case SqlForm::text: {
        // A segment in memory outlives the statement; one that was read may go before.
        const bool stays =
            cursor.module.rows->parts()[cursor.row->segment].place.segment != nullptr;
        const auto text = view.entry(raw);
        // A null pointer would be NULL to SQLite, whatever the size.
        sqlite3_result_text64(context, text.empty() ? "" : text.data(), text.size(),
                              stays ? SQLITE_STATIC : SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
      }
      case SqlForm::moment:
        give_text(context, iso_time(real_ns(Time{raw}, *cursor.module.origin)));
        break;
      case SqlForm::moment_ns:
        sqlite3_result_int64(context, real_ns(Time{raw}, *cursor.module.origin));
        break;
      case SqlForm::address:
      case SqlForm::json: {
        Unpacked unpacked;
        const Value value = value_at(view, row, unpacked);
        if (auto address = std::get_if<IpAddress>(&value)) {
          give_text(context, address->to_string());
        } else {
          std::string json;
          append_json(json, value, *cursor.module.origin);
          give_text(context, json);
        }
        break;
      }
    }
    return SQLITE_OK;
  });
}

int row_id(sqlite3_vtab_cursor* base, sqlite3_int64* id) {
  const auto& place = *static_cast<Cursor*>(base)->row;
  *id = static_cast<sqlite3_int64>(place.segment) << 32 | place.row;
  return SQLITE_OK;
}

// Without xCreate there is just the one table of the module's own name, and nobody can make
// another.
constexpr sqlite3_module methods() {
  sqlite3_module module{};
  module.xConnect = connect;
  module.xBestIndex = best_index;
  module.xDisconnect = disconnect;
  module.xOpen = open_cursor;
  module.xClose = close_cursor;
  module.xFilter = filter;
  module.xNext = next;
  module.xEof = at_end;
  module.xColumn = column;
  module.xRowid = row_id;
  return module;
}

}  // namespace

int add_table(sqlite3* connection, TableModule& module) {
  static constexpr sqlite3_module kMethods = methods();
  return sqlite3_create_module_v2(connection, std::string(module.schema->table).c_str(), &kMethods,
                                  &module, nullptr);
}

}  // namespace trivet
