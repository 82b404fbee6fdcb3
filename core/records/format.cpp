// SPDX-License-Identifier: Apache-2.0
#include "records/format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <unordered_map>
#include <vector>

#include "text/escape.h"

namespace trivet {
namespace {

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;  // clang 14 does not find it by itself

constexpr std::int64_t kSecond = 1'000'000'000;

// Seconds and nanoseconds of a time that may lie before 1970.
std::pair<std::time_t, long> split(std::int64_t real_ns) {
  std::int64_t seconds = real_ns / kSecond, rest = real_ns % kSecond;
  if (rest < 0) {
    --seconds;
    rest += kSecond;
  }
  return {seconds, static_cast<long>(rest)};
}

std::string formatted_time(std::int64_t real_ns, const char* format, const char* end) {
  auto [seconds, rest] = split(real_ns);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char date[32], fraction[24];
  std::strftime(date, sizeof(date), format, &parts);
  std::snprintf(fraction, sizeof(fraction), ".%09ld", rest);
  return std::string(date) + fraction + end;
}

template <class Number>
void append_number(std::string& out, Number number) {
  char buffer[32];
  auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
  out.append(buffer, end);
}

void append_double(std::string& out, double number) {
  if (std::isfinite(number)) {
    append_number(out, number);
  } else {
    out += "null";  // JSON has no infinity
  }
}

void append_json(std::string& out, const Scalar& value) {
  std::visit(Overloaded{
                 [&](std::monostate) { out += "null"; },
                 [&](bool v) { out += v ? "true" : "false"; },
                 [&](std::int64_t v) { append_number(out, v); },
                 [&](std::uint64_t v) { append_number(out, v); },
                 [&](double v) { append_double(out, v); },
                 [&](const std::string& v) { append_json_string(out, v); },
             },
             value);
}

// A name that occurs more than once (HTTP headers do) holds an array, at its first place.
void append_json(std::string& out, const Fields& fields) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> places;
  for (std::size_t i = 0; i < fields.items.size(); ++i) places[fields.items[i].first].push_back(i);

  char before = '{';
  for (std::size_t i = 0; i < fields.items.size(); ++i) {
    const auto& [name, value] = fields.items[i];
    const auto& same = places[name];
    if (same.front() != i) continue;
    out += before;
    before = ',';
    append_json_string(out, name);
    out += ':';
    if (same.size() == 1) {
      append_json(out, value);
      continue;
    }
    char separator = '[';
    for (std::size_t place : same) {
      out += separator;
      separator = ',';
      append_json(out, fields.items[place].second);
    }
    out += ']';
  }
  if (before == '{') out += '{';
  out += '}';
}

void append_json(std::string& out, std::span<const std::string> texts) {
  out += '[';
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i != 0) out += ',';
    append_json_string(out, texts[i]);
  }
  out += ']';
}

}  // namespace

std::int64_t real_ns(Time time, const Origin& origin) {
  // Wraps instead of overflowing: the time may come from a record that is wrong.
  return static_cast<std::int64_t>(time.boot_ns +
                                   static_cast<std::uint64_t>(origin.boot_to_real_ns));
}

void append_json(std::string& out, const Value& value, const Origin& origin) {
  std::visit(Overloaded{
                 [&](std::monostate) { out += "null"; },
                 [&](bool v) { out += v ? "true" : "false"; },
                 [&](std::int64_t v) { append_number(out, v); },
                 [&](std::uint64_t v) { append_number(out, v); },
                 [&](double v) { append_double(out, v); },
                 [&](std::string_view v) { append_json_string(out, v); },
                 [&](Time v) { out += '"' + iso_time(real_ns(v, origin)) + '"'; },
                 [&](Duration v) { append_number(out, v.ns); },
                 [&](const IpAddress& v) { out += '"' + v.to_string() + '"'; },
                 [&](std::span<const std::string> v) { append_json(out, v); },
                 [&](const Fields* v) { append_json(out, *v); },
             },
             value);
}

namespace {

// Three digits and the unit that keeps them readable: 850ns, 12.3us, 4.56ms, 1.20s.
std::string short_duration(Duration duration) {
  static constexpr std::array<const char*, 4> kUnits = {"ns", "us", "ms", "s"};
  double value = static_cast<double>(duration.ns);
  std::size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  char text[48];
  int decimals = unit == 0 || std::abs(value) >= 99.95 ? 0 : std::abs(value) >= 9.995 ? 1 : 2;
  std::snprintf(text, sizeof(text), "%.*f%s", decimals, value, kUnits[unit]);
  return text;
}

void append_shown(std::string& out, const Scalar& value) {
  if (auto text = std::get_if<std::string>(&value)) {
    append_printable(out, *text);
  } else if (std::holds_alternative<std::monostate>(value)) {
    out += '-';
  } else {
    append_json(out, value);
  }
}

std::string shown(const Value& value, const Origin& origin) {
  std::string out;
  std::visit(Overloaded{
                 [&](std::monostate) {},
                 [&](bool v) { out = v ? "yes" : "no"; },
                 [&](std::int64_t v) { append_number(out, v); },
                 [&](std::uint64_t v) { append_number(out, v); },
                 [&](double v) { append_number(out, v); },
                 [&](std::string_view v) { append_printable(out, v); },
                 [&](Time v) { out = clock_time(real_ns(v, origin)); },
                 [&](Duration v) { out = short_duration(v); },
                 [&](const IpAddress& v) { out = v.to_string(); },
                 [&](std::span<const std::string> v) {
                   for (const auto& text : v) {
                     if (!out.empty()) out += ',';
                     append_printable(out, text);
                   }
                 },
                 [&](const Fields* v) {
                   for (const auto& [name, item] : v->items) {
                     if (!out.empty()) out += ' ';
                     append_printable(out, name);
                     out += '=';
                     append_shown(out, item);
                   }
                 },
             },
             value);
  if (out.empty()) out = "-";
  return out;
}

// Wide enough for what the column mostly holds; a longer value pushes the rest of its line.
std::size_t width_of(const Column& column) {
  struct Known {
    std::string_view name;
    std::size_t width;
  };
  static constexpr Known kKnown[] = {{"process", 15}, {"rule", 20},   {"path", 28},
                                     {"priority", 8}, {"method", 7},  {"role", 6},
                                     {"protocol", 3}, {"verdict", 9}, {"state", 7}};
  std::size_t width = 7;
  if (column.type == ColumnType::time) width = 18;
  if (column.type == ColumnType::address) width = 15;
  for (const auto& known : kKnown) {
    if (known.name == column.name) width = known.width;
  }
  return std::max(width, column.name.size());
}

bool right_aligned(const Column& column) {
  return column.type == ColumnType::integer || column.type == ColumnType::number ||
         column.type == ColumnType::duration;
}

// The ANSI colour of a value that should catch the eye; empty for all others.
std::string_view colour_of(const Column& column, const Value& value) {
  constexpr std::string_view kRed = "\x1b[31m", kYellow = "\x1b[33m", kGrey = "\x1b[90m";
  if (column.type == ColumnType::time) return kGrey;
  auto text = std::get_if<std::string_view>(&value);
  if (column.name == "verdict" && text) {
    return *text == "DROPPED" ? kRed : *text == "AUDIT" ? kYellow : std::string_view();
  }
  if (column.name == "priority" && text) {
    if (*text == "Emergency" || *text == "Alert" || *text == "Critical" || *text == "Error") {
      return kRed;
    }
    return *text == "Warning" ? kYellow : std::string_view();
  }
  if (column.otel == "http.response.status_code") {
    auto status = std::get_if<std::uint64_t>(&value);
    if (!status) return {};
    return *status >= 500 ? kRed : *status >= 400 ? kYellow : std::string_view();
  }
  return {};
}

constexpr std::string_view kColourEnd = "\x1b[0m";

void append_cell(std::string& line, std::string_view text, const Column& column, bool last,
                 std::string_view colour) {
  std::size_t used = display_width(text), width = width_of(column);
  std::size_t padding = used < width ? width - used : 0;
  if (!line.empty()) line += "  ";
  if (right_aligned(column)) line.append(padding, ' ');
  line += colour;
  line += text;
  if (!colour.empty()) line += kColourEnd;
  if (!right_aligned(column) && !last) line.append(padding, ' ');
}

std::vector<const Column*> compact_columns(const RecordSchema& schema) {
  std::vector<const Column*> columns;
  for (const auto& column : schema.columns) {
    if (column.compact) columns.push_back(&column);
  }
  return columns;
}

std::string_view type_name(ColumnType type) {
  switch (type) {
    case ColumnType::boolean:
      return "boolean";
    case ColumnType::integer:
      return "integer";
    case ColumnType::number:
      return "number";
    case ColumnType::text:
      return "text";
    case ColumnType::time:
      return "time";
    case ColumnType::duration:
      return "duration";
    case ColumnType::address:
      return "address";
    case ColumnType::texts:
      return "list of text";
    case ColumnType::fields:
      break;
  }
  return "fields";
}

std::string_view unit_name(Unit unit) {
  switch (unit) {
    case Unit::bytes:
      return "bytes";
    case Unit::nanoseconds:
      return "ns";
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

std::string iso_time(std::int64_t ns) {
  return formatted_time(ns, "%Y-%m-%dT%H:%M:%S", "Z");
}

std::string clock_time(std::int64_t ns) {
  return formatted_time(ns, "%H:%M:%S", "");
}

std::string to_json(const RecordSchema& schema, const void* record, const Origin& origin) {
  std::string out = "{\"hostname\":";
  append_json_string(out, origin.hostname);
  for (const auto& column : schema.columns) {
    out += ",\"";
    out += column.name;
    out += "\":";
    append_json(out, column.get(record), origin);
  }
  out += '}';
  return out;
}

std::string to_table_json(const RecordSchema& schema, const void* record, const Origin& origin) {
  return "{\"table\":\"" + std::string(schema.table) + "\"," +
         to_json(schema, record, origin).substr(1);
}

std::string to_line(const RecordSchema& schema, const void* record, const Origin& origin,
                    bool colour) {
  auto columns = compact_columns(schema);
  std::string line;
  for (const Column* column : columns) {
    Value value = column->get(record);
    append_cell(line, shown(value, origin), *column, column == columns.back(),
                colour ? colour_of(*column, value) : std::string_view());
  }
  return line;
}

std::string line_heading(const RecordSchema& schema, bool colour) {
  auto columns = compact_columns(schema);
  std::string line;
  for (const Column* column : columns) {
    append_cell(line, column->name, *column, column == columns.back(), "");
  }
  return colour ? "\x1b[1m" + line + std::string(kColourEnd) : line;
}

std::string to_falco_json(const Alert& alert, const Origin& origin) {
  std::string out = "{\"hostname\":";
  append_json_string(out, origin.hostname);
  out += ",\"output\":";
  append_json_string(
      out, clock_time(real_ns(alert.time, origin)) + ": " + alert.priority + ' ' + alert.output);
  out += ",\"output_fields\":";
  append_json(out, alert.output_fields);
  out += ",\"priority\":";
  append_json_string(out, alert.priority);
  out += ",\"rule\":";
  append_json_string(out, alert.rule);
  out += ",\"source\":";
  append_json_string(out, alert.source);
  out += ",\"tags\":";
  append_json(out, std::span<const std::string>(alert.tags));
  out += ",\"time\":\"" + iso_time(real_ns(alert.time, origin)) + "\"}";
  return out;
}

std::string to_falco_text(const Alert& alert, const Origin& origin) {
  std::string out = clock_time(real_ns(alert.time, origin)) + ": ";
  append_printable(out, alert.priority);
  out += ' ';
  append_printable(out, alert.output);
  return out;
}

std::string describe(const RecordSchema& schema) {
  std::string out =
      "## " + std::string(schema.table) + "\n\n" + std::string(schema.meaning) +
      ". Schema version " + std::to_string(schema.version) +
      ".\n\n| column | type | unit | OpenTelemetry | meaning |\n|---|---|---|---|---|\n";
  for (const auto& column : schema.columns) {
    out += "| " + std::string(column.name) + (column.compact ? " * | " : " | ") +
           std::string(type_name(column.type)) + " | " + std::string(unit_name(column.unit)) +
           " | " + std::string(column.otel) + " | " + std::string(column.meaning) + " |\n";
  }
  return out;
}

}  // namespace trivet
