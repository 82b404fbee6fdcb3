// SPDX-License-Identifier: Apache-2.0
#include "query/column_table.h"

#include "query/sql_columns.h"

namespace trivet {
namespace {

std::string_view unit_of(const Column& column, SqlForm form) {
  if (form == SqlForm::moment) return "UTC";
  switch (column.unit) {
    case Unit::bytes:
      return "bytes";
    case Unit::nanoseconds:
      return "nanoseconds";
    case Unit::packets:
      return "packets";
    case Unit::segments:
      return "segments";
    case Unit::none:
      break;
  }
  return "";
}

}  // namespace

LiveTable column_table(std::vector<const RecordSchema*> schemas) {
  return {&ColumnRow::schema(),
          [schemas = std::move(schemas)](const std::function<void(const void*)>& visit) {
            for (const auto* schema : schemas) {
              for (const auto& column : sql_columns(*schema)) {
                const Column& source = schema->columns[column.source];
                const ColumnRow row{
                    std::string(schema->table),         column.name,
                    std::string(sql_type(column.form)), std::string(unit_of(source, column.form)),
                    std::string(source.otel),           std::string(source.meaning)};
                visit(&row);
              }
            }
          }};
}

}  // namespace trivet
