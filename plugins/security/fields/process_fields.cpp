// SPDX-License-Identifier: Apache-2.0
// proc.*, thread.*, user.*, group.*: who caused the event, and its ancestors.
#include <chrono>

#include "security/fields/field.h"

namespace trivet::security {
namespace {

// Deeper chains than this are a loop, made by a pid that was used again.
constexpr std::uint32_t kMaxAncestors = 64;

std::int64_t number(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

ProcessRef parent_of(const RuleEvent& event, const ProcessRef& process) {
  if (process == event.process) return event.parent;
  return process->parent.tgid ? event.facts->process(process->parent) : nullptr;
}

ProcessRef ancestor(const RuleEvent& event, std::uint32_t generations) {
  ProcessRef process = event.process;
  for (std::uint32_t i = 0; i < generations && process; ++i)
    process = i < kMaxAncestors ? parent_of(event, process) : nullptr;
  return process;
}

std::string_view command_name(const Process& process) {
  return process.name;
}

// Falco's proc.exe: the first argument, which the program's caller chose.
std::string_view first_argument(const Process& process) {
  return process.args.empty() ? std::string_view(process.exe) : process.args[0];
}

std::string arguments(const Process& process) {
  std::string out;
  for (std::size_t i = 1; i < process.args.size(); ++i) {
    if (i > 1) out += ' ';
    out += process.args[i];
  }
  return out;
}

std::string command_line(const Process& process) {
  std::string args = arguments(process);
  return args.empty() ? process.name : process.name + " " + args;
}

// Values of the event are copies: an ancestor may be forgotten while it is judged.
FieldValue text(const RuleEvent& event, const ProcessRef& process,
                std::string (*get)(const Process&)) {
  if (!process) return {};
  return event.keep(get(*process));
}
std::string exe_of(const Process& process) {
  return std::string(first_argument(process));
}
std::string path_of(const Process& process) {
  return process.exe;
}
std::string name_of(const Process& process) {
  return std::string(command_name(process));
}

// Without an index: of every ancestor; with one: of that generation, 0 being the process itself.
template <std::string (*get)(const Process&)>
FieldValue ancestors_text(const RuleEvent& event, const FieldArgument& argument) {
  if (argument.index) return text(event, ancestor(event, *argument.index), get);
  std::vector<std::string_view> all;
  ProcessRef process = ancestor(event, 1);
  for (std::uint32_t i = 0; process && i < kMaxAncestors; ++i) {
    all.push_back(event.keep(get(*process)));
    process = parent_of(event, process);
  }
  if (all.empty()) return {};
  return all;
}

FieldValue ancestors_pid(const RuleEvent& event, const FieldArgument& argument) {
  if (argument.index) {
    auto process = ancestor(event, *argument.index);
    if (!process) return {};
    return number(process->key.tgid);
  }
  std::vector<std::int64_t> all;
  ProcessRef process = ancestor(event, 1);
  for (std::uint32_t i = 0; process && i < kMaxAncestors; ++i) {
    all.push_back(number(process->key.tgid));
    process = parent_of(event, process);
  }
  if (all.empty()) return {};
  return all;
}

ProcessRef session_leader(const RuleEvent& event) {
  if (!event.process || event.process->sid == 0) return nullptr;
  return event.facts->process(event.process->sid);
}

FieldValue age_ns(const RuleEvent& event, const ProcessRef& process) {
  if (!process || process->key.start_ns > event.header->time_ns) return {};
  return number(event.header->time_ns - process->key.start_ns);
}

FieldValue since_exe_change(const RuleEvent& event, const FieldArgument&) {
  if (!event.process || event.process->exe_ctime_ns == 0) return {};
  return number(event.process->key.start_ns) + event.facts->boot_to_real_ns() -
         number(event.process->exe_ctime_ns);
}

// Both are read when the first rule asks, while the event waits.
constexpr std::chrono::milliseconds kEnvironmentPatience{20};
constexpr std::chrono::milliseconds kHashPatience{200};

FieldValue environment(const RuleEvent& event, const FieldArgument& argument) {
  if (!event.process) return {};
  const auto variables = event.facts->environment(*event.process, kEnvironmentPatience);
  if (!variables) return {};
  if (argument.text.empty()) {
    std::string all;
    for (const auto& variable : *variables) all.append(all.empty() ? "" : " ").append(variable);
    return event.keep(std::move(all));
  }
  const std::string start = argument.text + "=";
  for (const auto& variable : *variables)
    if (variable.starts_with(start)) return event.keep(variable.substr(start.size()));
  return {};
}

FieldValue exe_sha256(const RuleEvent& event, const FieldArgument&) {
  if (!event.process) return {};
  auto hash = event.facts->exe_sha256(*event.process, kHashPatience);
  if (!hash) return {};
  return event.keep(std::move(*hash));
}

FieldValue user_name(const RuleEvent& event, std::uint32_t uid) {
  auto name = event.facts->user_name(uid);
  if (!name) return {};
  return event.keep(std::move(*name));
}

FieldValue login_name(const RuleEvent& event, const FieldArgument&) {
  if (!event.process || !event.process->login_uid) return {};
  return user_name(event, *event.process->login_uid);
}

FieldValue group_name(const RuleEvent& event, const FieldArgument&) {
  if (!event.process) return {};
  auto name = event.facts->group_name(event.process->gid);
  if (!name) return {};
  return event.keep(std::move(*name));
}

// Of the process, which is known; no value otherwise.
#define GET(expression)                                            \
  [](const RuleEvent& event, const FieldArgument&) -> FieldValue { \
    if (!event.process) return {};                                 \
    const Process& process = *event.process;                       \
    return expression;                                             \
  }
#define GET_EVENT(expression) \
  [](const RuleEvent& event, const FieldArgument&) -> FieldValue { return expression; }

constexpr Field kFields[] = {
    {"proc.name", FieldType::text, ArgumentUse::none, "Command name, at most 15 letters",
     GET(command_name(process))},
    {"proc.exe", FieldType::text, ArgumentUse::none, "First argument: the name it was called by",
     GET(first_argument(process))},
    {"proc.exepath", FieldType::text, ArgumentUse::none, "Path of the executable, from the kernel",
     GET(std::string_view(process.exe))},
    {"proc.args", FieldType::text, ArgumentUse::none, "Arguments after the first",
     GET(event.keep(arguments(process)))},
    {"proc.cmdline", FieldType::text, ArgumentUse::none, "proc.name and proc.args",
     GET(event.keep(command_line(process)))},
    {"proc.exeline", FieldType::text, ArgumentUse::none, "proc.exe and proc.args",
     GET(event.keep(exe_of(process) + (process.args.size() > 1 ? " " : "") + arguments(process)))},
    {"proc.cmdnargs", FieldType::number, ArgumentUse::none, "How many arguments after the first",
     GET(number(process.args.empty() ? 0 : process.args.size() - 1))},
    {"proc.cmdlenargs", FieldType::number, ArgumentUse::none, "Length of proc.args",
     GET(number(arguments(process).size()))},
    {"proc.cwd", FieldType::text, ArgumentUse::none, "Working directory, with a slash at its end",
     GET(process.cwd.empty()         ? FieldValue()
         : process.cwd.back() == '/' ? FieldValue(std::string_view(process.cwd))
                                     : FieldValue(event.keep(process.cwd + "/")))},
    {"proc.pid", FieldType::number, ArgumentUse::none, "Process id",
     GET_EVENT(event.header->task.tgid ? FieldValue(number(event.header->task.tgid))
                                       : FieldValue())},
    {"proc.vpid", FieldType::number, ArgumentUse::none, "Process id in its own namespace",
     GET(number(process.vpid))},
    {"proc.ppid", FieldType::number, ArgumentUse::none, "Process id of the parent",
     GET(process.parent.tgid ? FieldValue(number(process.parent.tgid)) : FieldValue())},
    {"proc.apid", FieldType::number, ArgumentUse::optional_index, "Process id of an ancestor",
     ancestors_pid, Plurality::any},
    {"proc.sid", FieldType::number, ArgumentUse::none, "Session id", GET(number(process.sid))},
    {"proc.sname", FieldType::text, ArgumentUse::none, "Name of the session's leader",
     GET_EVENT(text(event, session_leader(event), name_of))},
    {"proc.sid.exe", FieldType::text, ArgumentUse::none, "proc.exe of the session's leader",
     GET_EVENT(text(event, session_leader(event), exe_of))},
    {"proc.sid.exepath", FieldType::text, ArgumentUse::none, "Executable of the session's leader",
     GET_EVENT(text(event, session_leader(event), path_of))},
    {"proc.is_sid_leader", FieldType::boolean, ArgumentUse::none, "Leads its session",
     GET(process.sid == process.key.tgid)},
    {"proc.pname", FieldType::text, ArgumentUse::none, "Name of the parent",
     GET_EVENT(text(event, ancestor(event, 1), name_of))},
    {"proc.pexe", FieldType::text, ArgumentUse::none, "proc.exe of the parent",
     GET_EVENT(text(event, ancestor(event, 1), exe_of))},
    {"proc.pexepath", FieldType::text, ArgumentUse::none, "Executable of the parent",
     GET_EVENT(text(event, ancestor(event, 1), path_of))},
    {"proc.pcmdline", FieldType::text, ArgumentUse::none, "proc.cmdline of the parent",
     GET_EVENT(text(event, ancestor(event, 1), command_line))},
    {"proc.aname", FieldType::text, ArgumentUse::optional_index, "Name of an ancestor, or of any",
     ancestors_text<name_of>, Plurality::any},
    {"proc.aexe", FieldType::text, ArgumentUse::optional_index, "proc.exe of an ancestor",
     ancestors_text<exe_of>, Plurality::any},
    {"proc.aexepath", FieldType::text, ArgumentUse::optional_index, "Executable of an ancestor",
     ancestors_text<path_of>, Plurality::any},
    {"proc.acmdline", FieldType::text, ArgumentUse::optional_index, "proc.cmdline of an ancestor",
     ancestors_text<command_line>, Plurality::any},
    {"proc.tty", FieldType::number, ArgumentUse::none, "Terminal's device number; 0 for none",
     GET(number(process.tty))},
    {"proc.duration", FieldType::number, ArgumentUse::none, "Nanoseconds since the process began",
     GET_EVENT(age_ns(event, event.process))},
    {"proc.ppid.duration", FieldType::number, ArgumentUse::none,
     "Nanoseconds since the parent began", GET_EVENT(age_ns(event, ancestor(event, 1)))},
    {"proc.pid.ts", FieldType::number, ArgumentUse::none,
     "When the process began, since 1970 in ns",
     GET(number(process.key.start_ns) + event.facts->boot_to_real_ns())},
    {"proc.is_exe_writable", FieldType::boolean, ArgumentUse::none,
     "Who runs the executable may write it", GET(process.exe_writable)},
    {"proc.is_exe_upper_layer", FieldType::boolean, ArgumentUse::none,
     "The executable is from an overlay's upper layer", GET(process.exe_upper_layer)},
    {"proc.is_exe_from_memfd", FieldType::boolean, ArgumentUse::none, "The executable is a memfd",
     GET(process.exe_memfd)},
    {"proc.env", FieldType::text, ArgumentUse::optional_name,
     "Its environment, or the value of a variable", environment},
    {"proc.exe_sha256", FieldType::text, ArgumentUse::none, "SHA-256 of the executable, in hex",
     exe_sha256},
    {"proc.exe_ino", FieldType::number, ArgumentUse::none, "Inode of the executable",
     GET(number(process.exe_inode))},
    {"proc.exe_ino.ctime", FieldType::number, ArgumentUse::none,
     "Its last change, since 1970 in ns", GET(number(process.exe_ctime_ns))},
    {"proc.exe_ino.mtime", FieldType::number, ArgumentUse::none,
     "Its last writing, since 1970 in ns", GET(number(process.exe_mtime_ns))},
    {"proc.exe_ino.ctime_duration_proc_start", FieldType::number, ArgumentUse::none,
     "From its last change to the start of the process, in ns", since_exe_change},
    {"thread.tid", FieldType::number, ArgumentUse::none, "Thread id",
     GET_EVENT(event.header->tid ? FieldValue(number(event.header->tid)) : FieldValue())},
    {"thread.ismain", FieldType::boolean, ArgumentUse::none, "The process's first thread",
     GET_EVENT(event.header->tid == event.header->task.tgid)},
    {"thread.cap_effective", FieldType::text, ArgumentUse::none, "Effective capabilities",
     GET(event.keep(capability_names(process.cap_effective)))},
    {"thread.cap_permitted", FieldType::text, ArgumentUse::none, "Permitted capabilities",
     GET(event.keep(capability_names(process.cap_permitted)))},
    {"user.uid", FieldType::number, ArgumentUse::none, "Effective user id",
     GET(number(process.uid))},
    {"user.name", FieldType::text, ArgumentUse::none, "Name of the effective user",
     GET(user_name(event, process.uid))},
    {"user.loginuid", FieldType::number, ArgumentUse::none, "Who logged in; -1 if nobody did",
     GET(process.login_uid ? number(*process.login_uid) : std::int64_t{-1})},
    {"user.loginname", FieldType::text, ArgumentUse::none, "Name of who logged in", login_name},
    {"group.gid", FieldType::number, ArgumentUse::none, "Effective group id",
     GET(number(process.gid))},
    {"group.name", FieldType::text, ArgumentUse::none, "Name of the effective group", group_name},
};

}  // namespace

std::span<const Field> process_fields() {
  return kFields;
}

}  // namespace trivet::security
