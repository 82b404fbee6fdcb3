// SPDX-License-Identifier: Apache-2.0
// evt.*: the event itself, its result and arguments.
#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "security/fields/field.h"

namespace trivet::security {
namespace {

std::int64_t real_time_ns(const RuleEvent& event) {
  return static_cast<std::int64_t>(event.header->time_ns) + event.facts->boot_to_real_ns();
}

std::string clock_text(const RuleEvent& event, const char* format, const char* suffix) {
  std::int64_t ns = real_time_ns(event);
  time_t seconds = ns / 1'000'000'000;
  struct tm parts {};
  bool utc = *suffix != '\0';
  if (utc) {
    gmtime_r(&seconds, &parts);
  } else {
    localtime_r(&seconds, &parts);
  }
  char date[64], fraction[16];
  std::strftime(date, sizeof(date), format, &parts);
  std::snprintf(fraction, sizeof(fraction), ".%09u", static_cast<unsigned>(ns % 1'000'000'000));
  return std::string(date) + fraction + suffix;
}

std::string result_name(const RuleEvent& event) {
  return event.failed() ? error_name(event.result) : "SUCCESS";
}

std::string exec_flags(const Process& process) {
  std::string out;
  auto add = [&](bool set, const char* name) {
    if (set) out.append(out.empty() ? "" : "|").append(name);
  };
  add(process.exe_writable, "EXE_WRITABLE");
  add(process.exe_upper_layer, "EXE_UPPER_LAYER");
  add(process.exe_memfd, "EXE_FROM_MEMFD");
  return out;
}

std::string argument_text(const Process& process) {
  std::string out;
  for (std::size_t i = 1; i < process.args.size(); ++i) {
    out.append(i > 1 ? " " : "").append(process.args[i]);
  }
  return out;
}

// Those of a process are asked for only where it is known.
#define ARGUMENT(expression) \
  [](const RuleEvent& event, unsigned) -> std::string { return expression; }
#define OF_PROCESS(expression)                          \
  [](const RuleEvent& event, unsigned) -> std::string { \
    const Process& process = *event.process;            \
    return expression;                                  \
  }

constexpr Argument kExec[] = {
    kRes,
    {"exe", OF_PROCESS(process.args.empty() ? process.exe : process.args[0])},
    {"args", OF_PROCESS(argument_text(process))},
    {"tid", ARGUMENT(std::to_string(event.header->tid))},
    {"pid", OF_PROCESS(std::to_string(process.key.tgid))},
    {"ptid", OF_PROCESS(std::to_string(process.parent.tgid))},
    {"cwd", OF_PROCESS(process.cwd)},
    {"fdlimit", nullptr},
    {"pgft_maj", nullptr},
    {"pgft_min", nullptr},
    {"vm_size", nullptr},
    {"vm_rss", nullptr},
    {"vm_swap", nullptr},
    {"comm", OF_PROCESS(process.name)},
    {"cgroups", nullptr},
    {"env", nullptr},
    {"tty", OF_PROCESS(std::to_string(process.tty))},
    {"vpgid", nullptr},
    {"loginuid", OF_PROCESS(process.login_uid ? std::to_string(*process.login_uid) : "-1")},
    {"flags", OF_PROCESS(exec_flags(process))},
    {"cap_inheritable", nullptr},
    {"cap_permitted", OF_PROCESS(capability_names(process.cap_permitted))},
    {"cap_effective", OF_PROCESS(capability_names(process.cap_effective))},
    {"exe_ino", OF_PROCESS(std::to_string(process.exe_inode))},
    {"exe_ino_ctime", OF_PROCESS(std::to_string(process.exe_ctime_ns))},
    {"exe_ino_mtime", OF_PROCESS(std::to_string(process.exe_mtime_ns))},
    {"uid", OF_PROCESS(std::to_string(process.uid))},
    {"trusted_exepath", OF_PROCESS(process.exe)},
    {"pgid", nullptr},
    {"gid", OF_PROCESS(std::to_string(process.gid))}};

std::span<const Argument> arguments_of_type(std::size_t type) {
  if (type == kExecve) return kExec;
  std::span<const Argument> all = kCalls[type].arguments;
  return all.first(static_cast<std::size_t>(
      std::ranges::find(all, std::string_view(), &Argument::name) - all.begin()));
}

bool can_tell(const RuleEvent& event, const Argument& argument) {
  return argument.get && (event.type != kExecve || event.process);
}

FieldValue argument(const RuleEvent& event, const FieldArgument& wanted) {
  auto arguments = arguments_of_type(event.type);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    bool meant = wanted.index ? i == *wanted.index : arguments[i].name == wanted.text;
    if (!meant) continue;
    if (!can_tell(event, arguments[i])) return {};
    return event.keep(arguments[i].get(event, arguments[i].n));
  }
  return {};
}

FieldValue all_arguments(const RuleEvent& event, const FieldArgument&) {
  std::string out;
  for (const auto& argument : arguments_of_type(event.type)) {
    if (!can_tell(event, argument)) continue;
    out.append(out.empty() ? "" : " ").append(argument.name).append("=");
    out.append(argument.get(event, argument.n));
  }
  return event.keep(std::move(out));
}

FieldValue category(const RuleEvent& event, const FieldArgument&) {
  constexpr std::string_view kNames[] = {"file", "net",    "process", "ipc",  "signal",
                                         "user", "memory", "system",  "other"};
  if (event.type == kExecve) return "process";
  return kNames[static_cast<std::size_t>(kCalls[event.type].category)];
}

#define GET(expression)                                                             \
  []([[maybe_unused]] const RuleEvent& event, const FieldArgument&) -> FieldValue { \
    return expression;                                                              \
  }
#define GET_OPEN(expression)                                       \
  [](const RuleEvent& event, const FieldArgument&) -> FieldValue { \
    if (!is_open(event.type)) return {};                           \
    return expression;                                             \
  }

constexpr Field kFields[] = {
    {"evt.type", FieldType::text, ArgumentUse::none, "Name of the event: the system call",
     GET(kEventTypes[event.type])},
    {"evt.num", FieldType::number, ArgumentUse::none, "Counts the events seen, from 1",
     GET(static_cast<std::int64_t>(event.number))},
    {"evt.time", FieldType::text, ArgumentUse::none, "Local time of day, to the nanosecond",
     GET(event.keep(clock_text(event, "%H:%M:%S", "")))},
    {"evt.time.iso8601", FieldType::text, ArgumentUse::none, "Date and time in UTC",
     GET(event.keep(clock_text(event, "%Y-%m-%dT%H:%M:%S", "Z")))},
    {"evt.datetime", FieldType::text, ArgumentUse::none, "Local date and time",
     GET(event.keep(clock_text(event, "%Y-%m-%d %H:%M:%S", "")))},
    {"evt.rawtime", FieldType::number, ArgumentUse::none, "Nanoseconds since 1970",
     GET(real_time_ns(event))},
    {"evt.rawtime.s", FieldType::number, ArgumentUse::none, "Seconds since 1970",
     GET(real_time_ns(event) / 1'000'000'000)},
    {"evt.rawtime.ns", FieldType::number, ArgumentUse::none, "Nanoseconds within the second",
     GET(real_time_ns(event) % 1'000'000'000)},
    {"evt.res", FieldType::text, ArgumentUse::none, "SUCCESS, or the name of the error",
     GET(event.keep(result_name(event)))},
    {"evt.rawres", FieldType::number, ArgumentUse::none, "What the call returned",
     GET(event.result)},
    {"evt.failed", FieldType::boolean, ArgumentUse::none, "Whether the call failed",
     GET(event.failed())},
    {"evt.is_open_read", FieldType::boolean, ArgumentUse::none, "Opened for reading",
     GET_OPEN((event.open_flags & O_ACCMODE) != O_WRONLY)},
    {"evt.is_open_write", FieldType::boolean, ArgumentUse::none, "Opened for writing",
     GET_OPEN((event.open_flags & O_ACCMODE) != O_RDONLY)},
    {"evt.is_open_exec", FieldType::boolean, ArgumentUse::none,
     "Asked to create a file that may be executed",
     GET_OPEN((event.open_flags & O_CREAT) != 0 && (event.open_mode & 0111) != 0)},
    {"evt.dir", FieldType::text, ArgumentUse::none, "<: events are told as calls return", GET("<")},
    {"evt.args", FieldType::text, ArgumentUse::none, "All arguments", all_arguments},
    {"evt.info", FieldType::text, ArgumentUse::none, "The same as evt.args", all_arguments},
    {"evt.arg", FieldType::text, ArgumentUse::name, "One argument, by name or number", argument},
    {"evt.category", FieldType::text, ArgumentUse::none,
     "file, net, process, user, signal, memory, system or other", category},
    {"evt.uncertain", FieldType::boolean, ArgumentUse::none,
     "A path may have led elsewhere when the kernel followed it", GET(event.uncertain)},
    {"evt.source", FieldType::text, ArgumentUse::none, "syscall", GET("syscall")},
    {"evt.cpu", FieldType::number, ArgumentUse::none, "The CPU that it happened on",
     GET(static_cast<std::int64_t>(event.header->cpu))},
    {"evt.count", FieldType::number, ArgumentUse::none, "1", GET(std::int64_t{1})},
    {"evt.hostname", FieldType::text, ArgumentUse::none, "Name of this host",
     GET(std::string_view(event.facts->host().name))},
};

}  // namespace

std::span<const Field> event_fields() {
  return kFields;
}

std::vector<std::string_view> argument_names(std::size_t type) {
  std::vector<std::string_view> names;
  for (const auto& argument : arguments_of_type(type)) {
    if (argument.get) names.push_back(argument.name);
  }
  return names;
}

}  // namespace trivet::security
