// SPDX-License-Identifier: Apache-2.0
// A record type's columns as SQL sees them. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "records/segment.h"
#include "trivet/record.h"

namespace trivet {

// The collation of moments: as text, but 'T' and a blank between date and time are the same, and so
// are texts with and without 'Z' at the end. It makes RFC 3339 and what SQLite's datetime() gives
// comparable.
inline constexpr const char* kMomentCollation = "moment";

enum class SqlForm {
  integer,    // INTEGER: numbers, durations in nanoseconds, 0 or 1
  real,       // REAL
  text,       // TEXT
  address,    // TEXT
  json,       // TEXT: an array of texts or an object
  moment,     // TEXT: RFC 3339 in UTC
  moment_ns,  // INTEGER: nanoseconds since 1970; hidden, `<name>_ns`
};

struct SqlColumn {
  std::string name;
  SqlForm form;
  std::size_t source;  // the schema's column
};

// In the schema's order; a column of type time is followed by its twin in nanoseconds, unless a
// column of that name is there.
std::vector<SqlColumn> sql_columns(const RecordSchema& schema);
// "INTEGER", "REAL" or "TEXT".
std::string_view sql_type(SqlForm form);
// The CREATE TABLE statement that declares these columns to SQLite.
std::string sql_declaration(const RecordSchema& schema, const std::vector<SqlColumn>& columns);

// The moments that a text may mean in a comparison: all that start with it. Returns false unless it
// is the beginning of a moment down to at least the day.
struct MomentSpan {
  std::int64_t first_ns;  // since 1970
  std::int64_t last_ns;
};
bool parse_moment(std::string_view text, MomentSpan& span);
// The order of kMomentCollation: below, at or above 0.
int compare_moments(std::string_view left, std::string_view right);

}  // namespace trivet
