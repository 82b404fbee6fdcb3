// SPDX-License-Identifier: Apache-2.0
// A record is a row that a plugin concludes from events. Its type is declared once, as a list of
// columns; the struct, its JSON, its table, its CLI columns and its metric labels follow from that
// list. See records/alert.h for one. Adding a column is one line.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "trivet/api.h"
#include "trivet/value.h"

namespace trivet {

enum class Unit { none, bytes, nanoseconds, packets, segments };

// One column of a record type. Static data; any thread.
struct Column {
  std::string_view name;  // as in SQL and JSON
  ColumnType type;
  Unit unit;
  std::string_view otel;     // OpenTelemetry attribute name; empty where there is none
  std::string_view meaning;  // one line for a person
  bool compact;              // shown by `observe -o compact`
  Value (*get)(const void* record);
  void (*set)(void* record, const Value& value);  // what get() gave for this column
};

// A record type. Static data; identified by its table name, since each plugin has a copy.
struct TRIVET_API RecordSchema {
  std::string_view table;  // plural, as in SQL: "alerts"
  std::string_view type;   // the struct's name: "Alert"
  std::uint32_t version;   // grows when a column changes meaning or goes
  std::string_view meaning;
  std::span<const Column> columns;
  std::shared_ptr<void> (*make)();  // a record with every column at its default

  // The column of that name, or nullptr.
  const Column* find(std::string_view name) const;
};

// Whether `observe -o compact` shows a column.
enum class Show { always, detail };

// What a column list is made of: X(Record, C++ type, name, unit, show, OpenTelemetry name,
// meaning).
#define TRIVET_COLUMN_MEMBER(Record, CppType, name, unit, show, otel, meaning) CppType name{};
#define TRIVET_COLUMN_DESCRIPTOR(Record, CppType, name, unit, show, otel, meaning)        \
  ::trivet::Column{#name,                                                                 \
                   ::trivet::column_type_of<CppType>::value,                              \
                   ::trivet::Unit::unit,                                                  \
                   otel,                                                                  \
                   meaning,                                                               \
                   ::trivet::Show::show == ::trivet::Show::always,                        \
                   [](const void* record) {                                               \
                     return ::trivet::as_value(static_cast<const Record*>(record)->name); \
                   },                                                                     \
                   [](void* record, const ::trivet::Value& value) {                       \
                     ::trivet::from_value(value, static_cast<Record*>(record)->name);     \
                   }},

// Declares struct Type, a row of `table`, from its list of columns.
#define TRIVET_RECORD(Type, table_, version_, meaning_, COLUMNS)                      \
  struct Type {                                                                       \
    COLUMNS(TRIVET_COLUMN_MEMBER, Type)                                               \
    static const ::trivet::RecordSchema& schema() {                                   \
      static const auto columns =                                                     \
          std::to_array<::trivet::Column>({COLUMNS(TRIVET_COLUMN_DESCRIPTOR, Type)}); \
      static const ::trivet::RecordSchema schema{                                     \
          table_,   #Type,   version_,                                                \
          meaning_, columns, []() -> std::shared_ptr<void> { return std::make_shared<Type>(); }};                      \
      return schema;                                                                  \
    }                                                                                 \
  }

// The columns that every record starts with: when, and which process, so that any two tables join.
#define TRIVET_SUBJECT_COLUMNS(X, R)                                                             \
  X(R, ::trivet::Time, time, nanoseconds, always, "", "When it happened")                        \
  X(R, std::uint32_t, pid, none, always, "process.pid",                                          \
    "Process id in the initial namespace; 0 where unknown")                                      \
  X(R, std::uint64_t, process_start_ns, nanoseconds, detail, "",                                 \
    "Start of the process since boot: with pid, its identity")                                   \
  X(R, std::uint32_t, process_exec_count, none, detail, "",                                      \
    "Which image of the process: grows with each exec")                                          \
  X(R, std::string, process, none, always, "process.command", "Name of the process (comm)")      \
  X(R, std::string, exe, none, detail, "process.executable.path", "Path of its executable")      \
  X(R, std::optional<std::uint32_t>, uid, none, detail, "process.user.id",                       \
    "Effective user id of the process")                                                          \
  X(R, std::string, unit, none, detail, "", "systemd unit of the process")                       \
  X(R, std::string, container_id, none, detail, "container.id",                                  \
    "Container of the process; empty on the host")                                               \
  X(R, std::uint64_t, cgroup_id, none, detail, "", "cgroup2 id of the process; 0 where unknown") \
  X(R, std::uint64_t, socket_cookie, none, detail, "",                                           \
    "Kernel's cookie of the socket concerned; 0 where there is none")                            \
  X(R, std::uint64_t, cause_id, none, detail, "", "Id of the event that led to it; 0 where unknown")

}  // namespace trivet
