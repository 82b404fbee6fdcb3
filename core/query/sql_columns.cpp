// SPDX-License-Identifier: Apache-2.0
#include "query/sql_columns.h"

#include <time.h>

#include <algorithm>
#include <charconv>

namespace trivet {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

SqlForm form_of(ColumnType type) {
  switch (type) {
    case ColumnType::boolean:
    case ColumnType::integer:
    case ColumnType::duration:
      return SqlForm::integer;
    case ColumnType::number:
      return SqlForm::real;
    case ColumnType::time:
      return SqlForm::moment;
    case ColumnType::address:
      return SqlForm::address;
    case ColumnType::texts:
    case ColumnType::fields:
      return SqlForm::json;
    case ColumnType::text:
      break;
  }
  return SqlForm::text;
}

// What is compared of a moment: without 'Z', the separator read as a blank.
std::string_view without_zone(std::string_view text) {
  if (text.ends_with('Z')) text.remove_suffix(1);
  return text;
}

constexpr std::size_t kSeparator = 10;  // "2026-03-01T"

unsigned char letter(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(at == kSeparator && text[at] == 'T' ? ' ' : text[at]);
}

// The two or four digits at `at`; `absent` where the text has ended before.
bool digits(std::string_view text, std::size_t at, std::size_t count, int absent, int& number) {
  number = absent;
  if (at >= text.size()) return true;
  if (at + count > text.size()) return false;
  auto end = text.data() + at + count;
  auto read = std::from_chars(text.data() + at, end, number);
  return read.ec == std::errc() && read.ptr == end && number >= 0;
}

}  // namespace

std::vector<SqlColumn> sql_columns(const RecordSchema& schema) {
  std::vector<SqlColumn> columns;
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    const auto& column = schema.columns[i];
    const SqlForm form = form_of(column.type);
    columns.push_back({std::string(column.name), form, i});
    std::string twin = std::string(column.name) + "_ns";
    if (form == SqlForm::moment && !schema.find(twin)) {
      columns.push_back({std::move(twin), SqlForm::moment_ns, i});
    }
  }
  return columns;
}

std::string_view sql_type(SqlForm form) {
  switch (form) {
    case SqlForm::integer:
    case SqlForm::moment_ns:
      return "INTEGER";
    case SqlForm::real:
      return "REAL";
    default:
      return "TEXT";
  }
}

std::string sql_declaration(const RecordSchema& schema, const std::vector<SqlColumn>& columns) {
  std::string sql = "CREATE TABLE \"" + std::string(schema.table) + "\" (";
  for (const auto& column : columns) {
    if (&column != &columns.front()) sql += ", ";
    sql += '"' + column.name + "\" " + std::string(sql_type(column.form));
    if (column.form == SqlForm::moment) sql += std::string(" COLLATE ") + kMomentCollation;
    if (column.form == SqlForm::moment_ns) sql += " HIDDEN";
  }
  return sql + ')';
}

bool parse_moment(std::string_view text, MomentSpan& span) {
  text = without_zone(text);
  constexpr std::string_view kShape = "0000-00-00 00:00:00.000000000";
  if (text.size() < kSeparator || text.size() > kShape.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto got = static_cast<char>(letter(text, i));
    if (kShape[i] == '0' ? got < '0' || got > '9' : got != kShape[i]) return false;
  }
  // What is cut off in the middle of a part or behind a separator is rounded to the whole part.
  text = text.substr(0, text.size() < 13   ? 10
                        : text.size() < 16 ? 13
                        : text.size() < 19 ? 16
                                           : text.size());
  tm first{};
  int hour = 0, minute = 0, second = 0;
  if (!digits(text, 0, 4, 0, first.tm_year) || !digits(text, 5, 2, 0, first.tm_mon) ||
      !digits(text, 8, 2, 0, first.tm_mday) || !digits(text, 11, 2, 0, hour) ||
      !digits(text, 14, 2, 0, minute) || !digits(text, 17, 2, 0, second)) {
    return false;
  }
  // Outside of these, text and nanoseconds no longer have the same order.
  if (first.tm_year < 1970 || first.tm_year > 2200 || first.tm_mon < 1 || first.tm_mon > 12 ||
      first.tm_mday < 1 || first.tm_mday > 28 + 3 || hour > 23 || minute > 59 || second > 59) {
    return false;
  }
  first.tm_year -= 1900;
  first.tm_mon -= 1;
  first.tm_hour = hour;
  first.tm_min = minute;
  first.tm_sec = second;
  const int day = first.tm_mday;
  const std::int64_t start = timegm(&first);
  if (first.tm_mday != day) return false;  // no such day in that month

  std::int64_t fraction = 0, step = kSecond;
  for (std::size_t i = 20; i < text.size(); ++i) {
    step /= 10;
    fraction += (text[i] - '0') * step;
  }
  std::int64_t length = step;
  if (text.size() < 13)
    length = 86400 * kSecond;
  else if (text.size() < 16)
    length = 3600 * kSecond;
  else if (text.size() < 19)
    length = 60 * kSecond;
  span.first_ns = start * kSecond + fraction;
  span.last_ns = span.first_ns + length - 1;
  return true;
}

int compare_moments(std::string_view left, std::string_view right) {
  left = without_zone(left);
  right = without_zone(right);
  const std::size_t both = std::min(left.size(), right.size());
  for (std::size_t i = 0; i < both; ++i) {
    if (int order = letter(left, i) - letter(right, i)) return order;
  }
  return left.size() < right.size() ? -1 : left.size() > right.size() ? 1 : 0;
}

}  // namespace trivet
