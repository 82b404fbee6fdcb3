// SPDX-License-Identifier: Apache-2.0
// Records as text, from their schema alone: JSON for machines, a line for people, and Falco's two
// forms of an alert. Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "trivet/record.h"
#include "trivet/records/alert.h"

namespace trivet {

// Where and when the records were made: what a record itself does not hold.
struct Origin {
  std::string hostname;
  std::int64_t boot_to_real_ns = 0;  // added to CLOCK_BOOTTIME gives CLOCK_REALTIME
};
// The origin as of now: the wall clock may be set while the daemon runs. Any thread.
using OriginNow = std::function<Origin()>;

// The moment in nanoseconds since 1970.
std::int64_t real_ns(Time time, const Origin& origin);
// "2026-03-01T12:00:00.123456789Z": UTC, the form of RFC 3339.
std::string iso_time(std::int64_t real_ns);
// "12:00:00.123456789" in UTC.
std::string clock_time(std::int64_t real_ns);

// Appends a value as to_json() shows it.
void append_json(std::string& out, const Value& value, const Origin& origin);
// One JSON object without line breaks: "hostname", then a member for each column under its name.
// Times are RFC 3339 strings in UTC, durations integers in nanoseconds, columns without a value
// null, fields an object (a name that occurs more than once holds an array). See docs/records.md.
std::string to_json(const RecordSchema& schema, const void* record, const Origin& origin);

// The same with a first member "table": for a stream of several tables.
std::string to_table_json(const RecordSchema& schema, const void* record, const Origin& origin);

// One line of the columns marked `always`, in their order, padded to a width chosen by column;
// colour by ANSI sequences if asked. Hostile characters are escaped.
std::string to_line(const RecordSchema& schema, const void* record, const Origin& origin,
                    bool colour);
// The names of those columns, padded like the lines.
std::string line_heading(const RecordSchema& schema, bool colour);

// Falco's JSON alert: hostname, output, output_fields, priority, rule, source, tags, time.
std::string to_falco_json(const Alert& alert, const Origin& origin);
// Falco's text alert: "12:00:00.123456789: Warning <output>".
std::string to_falco_text(const Alert& alert, const Origin& origin);

// The columns of a record type as a table in Markdown; a star marks those that a line shows.
std::string describe(const RecordSchema& schema);

}  // namespace trivet
