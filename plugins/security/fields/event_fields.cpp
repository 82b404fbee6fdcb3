// SPDX-License-Identifier: Apache-2.0
// evt.*: the event itself, its result and arguments.
#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <cstdio>

#include "security/fields/field.h"

namespace trivet::security {
namespace {

using Arguments = std::vector<std::pair<std::string_view, std::string>>;

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

std::string octal(std::uint32_t number) {
  char text[16];
  std::snprintf(text, sizeof(text), "0%o", number);
  return text;
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

std::string peer_text(const RuleEvent& event) {
  if (!event.socket_path.empty()) return std::string(event.socket_path);
  if (event.remote.family == 0) return {};
  return event.remote.to_string() + ":" + std::to_string(event.remote_port);
}

// The arguments of an event by the names that Falco gives them, in order.
Arguments arguments_of(const RuleEvent& event) {
  Arguments out;
  auto text_result = event.failed() ? result_name(event) : std::to_string(event.result);
  if (is_open(event.type)) {
    out.emplace_back("fd", text_result);
    // openat's is called name, open_by_handle_at's path.
    out.emplace_back(event.type == CALL_OPEN_BY_HANDLE_AT ? "path" : "name", event.path);
    out.emplace_back("flags", open_flag_names(event.open_flags));
    out.emplace_back("mode", octal(event.mode));
    out.emplace_back("dev", std::to_string(event.device));
    out.emplace_back("ino", std::to_string(event.inode));
  } else if (event.type == CALL_LINK || event.type == CALL_LINKAT) {
    out.emplace_back("res", text_result);
    out.emplace_back("oldpath", event.old_path);
    out.emplace_back("newpath", event.new_path);
  } else if (is_link(event.type)) {
    out.emplace_back("res", text_result);
    out.emplace_back("target", event.old_path);
    out.emplace_back("linkpath", event.new_path);
  } else if (is_connect(event.type)) {
    out.emplace_back("res", text_result);
    out.emplace_back("fd", std::to_string(event.descriptor));
    out.emplace_back("addr", peer_text(event));
  } else if (event.process) {
    const Process& process = *event.process;
    std::string args;
    for (std::size_t i = 1; i < process.args.size(); ++i) {
      args.append(args.empty() ? "" : " ").append(process.args[i]);
    }
    out.emplace_back("res", text_result);
    out.emplace_back("exe", process.args.empty() ? process.exe : process.args[0]);
    out.emplace_back("args", args);
    out.emplace_back("pid", std::to_string(process.key.tgid));
    out.emplace_back("ptid", std::to_string(process.parent.tgid));
    out.emplace_back("cwd", process.cwd);
    out.emplace_back("comm", process.name);
    out.emplace_back("tty", std::to_string(process.tty));
    out.emplace_back("uid", std::to_string(process.uid));
    out.emplace_back("flags", exec_flags(process));
    out.emplace_back("cap_permitted", capability_names(process.cap_permitted));
    out.emplace_back("cap_effective", capability_names(process.cap_effective));
    out.emplace_back("exe_ino", std::to_string(process.exe_inode));
    out.emplace_back("trusted_exepath", process.exe);
  }
  return out;
}

FieldValue argument(const RuleEvent& event, const FieldArgument& argument) {
  auto all = arguments_of(event);
  for (auto& [name, value] : all) {
    if (name == argument.text) return event.keep(std::move(value));
  }
  return {};
}

FieldValue all_arguments(const RuleEvent& event, const FieldArgument&) {
  std::string out;
  for (const auto& [name, value] : arguments_of(event)) {
    out.append(out.empty() ? "" : " ").append(name).append("=").append(value);
  }
  return event.keep(std::move(out));
}

FieldValue category(const RuleEvent& event, const FieldArgument&) {
  if (is_connect(event.type)) return "net";
  return event.type == kExecve ? "process" : "file";
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
     GET_OPEN((event.open_flags & O_CREAT) != 0 && (event.mode & 0111) != 0)},
    {"evt.dir", FieldType::text, ArgumentUse::none, "<: events are told as calls return", GET("<")},
    {"evt.args", FieldType::text, ArgumentUse::none, "All arguments", all_arguments},
    {"evt.info", FieldType::text, ArgumentUse::none, "The same as evt.args", all_arguments},
    {"evt.arg", FieldType::text, ArgumentUse::name, "One argument, by name", argument},
    {"evt.category", FieldType::text, ArgumentUse::none, "file, net or process", category},
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

bool is_event_argument(std::string_view name) {
  // From events of every type: the names are then those that arguments_of() gives.
  static const auto names = [] {
    std::vector<std::string_view> all;
    for (std::size_t type = 0; type < kEventTypes.size(); ++type) {
      RuleEvent event;
      event.type = type;
      event.process = std::make_shared<const Process>();
      for (const auto& argument : arguments_of(event)) all.push_back(argument.first);
    }
    return all;
  }();
  return std::ranges::find(names, name) != names.end();
}

}  // namespace trivet::security
