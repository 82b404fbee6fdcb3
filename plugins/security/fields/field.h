// SPDX-License-Identifier: Apache-2.0
// The fields that rules name: one table with name, type, meaning and getter. Static data; any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "security/rule_event.h"

namespace trivet::security {

enum class FieldType { text, number, boolean, address };

// What may stand in brackets behind the field's name.
enum class ArgumentUse {
  none,
  optional_index,  // proc.aname, proc.aname[2]
  index,           // proc.apid[2]
  name,            // evt.arg[flags], evt.arg.flags
  optional_name,   // proc.env, proc.env[PATH]
};
struct FieldArgument {
  std::string text;  // as written; empty if absent
  std::optional<std::uint32_t> index;
};

// How many values there can be at a time: several, of which any may match, or Falco's lists, of
// which `in` wants all. An index makes one of `any`.
enum class Plurality { one, any, list };

// monostate: the field does not apply, or its value is unknown; every comparison is then false. A
// vector: the field has several values, any of which may match. Text lives as long as the event.
using FieldValue =
    std::variant<std::monostate, bool, std::int64_t, std::string_view, IpAddress,
                 std::vector<std::string_view>, std::vector<std::int64_t>, std::vector<IpAddress>>;

struct Field {
  std::string_view name;
  FieldType type;
  ArgumentUse argument;
  std::string_view meaning;
  FieldValue (*get)(const RuleEvent& event, const FieldArgument& argument);
  Plurality plurality = Plurality::one;
};

std::span<const Field> event_fields();      // evt.*
std::span<const Field> fd_fields();         // fd.*
std::span<const Field> path_fields();       // fs.path.*
std::span<const Field> process_fields();    // proc.*, thread.*, user.*, group.*
std::span<const Field> container_fields();  // container.*, k8s.*

// nullptr if there is no such field, or not yet.
const Field* find_field(std::string_view name);
// Whether Falco has a field of that name that is not built here yet.
bool is_unbuilt_field(std::string_view name);
// Whether a rule may write evt.type = name: false for a name that no system call or Falco event
// has.
bool is_event_type(std::string_view name);
// Whether events of that type are seen.
bool is_built_event_type(std::string_view name);
// The arguments of a built event type that evt.arg knows, in order.
std::vector<std::string_view> argument_names(std::size_t type);

// For "did you mean".
std::vector<std::string> field_names();
std::vector<std::string> event_type_names();

// Text of a value as an alert shows it; "<NA>" for none.
std::string show(const FieldValue& value);

}  // namespace trivet::security
