// SPDX-License-Identifier: Apache-2.0
// The table `processes`: the living processes as host facts know them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "query/live_table.h"
#include "trivet/facts.h"
#include "trivet/record.h"

namespace trivet {

#define TRIVET_PROCESS_ROW_COLUMNS(X, R)                                                          \
  X(R, std::uint32_t, pid, none, always, "process.pid", "Process id in the initial namespace")    \
  X(R, std::uint64_t, process_start_ns, nanoseconds, detail, "",                                  \
    "Start since boot: with pid, the process's identity")                                         \
  X(R, std::uint32_t, process_exec_count, none, detail, "",                                       \
    "Which image of the process: grows with each exec")                                           \
  X(R, std::uint32_t, ppid, none, always, "process.parent_pid",                                   \
    "Who forked it, even if that one has ended since; 0 where unknown")                           \
  X(R, std::uint64_t, parent_start_ns, nanoseconds, detail, "", "Start of the parent since boot") \
  X(R, std::string, name, none, always, "process.command", "Name (comm)")                         \
  X(R, std::string, exe, none, always, "process.executable.path", "Path of the executable")       \
  X(R, std::uint64_t, exe_inode, none, detail, "", "Inode number of the executable")              \
  X(R, std::string, cmdline, none, always, "process.command_line",                                \
    "Arguments with a space between")                                                             \
  X(R, std::vector<std::string>, args, none, detail, "process.command_args", "Arguments")         \
  X(R, std::string, cwd, none, detail, "process.working_directory",                               \
    "Working directory; empty where unknown")                                                     \
  X(R, ::trivet::Time, start_time, nanoseconds, always, "process.creation.time",                  \
    "When it was forked")                                                                         \
  X(R, ::trivet::Time, exec_time, nanoseconds, detail, "", "When this image was started")         \
  X(R, std::uint32_t, uid, none, always, "process.user.id", "Effective user id")                  \
  X(R, std::string, user, none, always, "process.user.name", "Name of that user")                 \
  X(R, std::uint32_t, real_uid, none, detail, "process.real_user.id", "Real user id")             \
  X(R, std::uint32_t, gid, none, detail, "", "Effective group id")                                \
  X(R, std::string, group, none, detail, "", "Name of that group")                                \
  X(R, std::optional<std::uint32_t>, login_uid, none, detail, "",                                 \
    "Audit login uid; none where unset")                                                          \
  X(R, std::uint32_t, pgid, none, detail, "process.group_leader.pid", "Process group")            \
  X(R, std::uint32_t, sid, none, detail, "process.session_leader.pid", "Session")                 \
  X(R, std::uint32_t, tty, none, detail, "", "Device number of the terminal; 0 for none")         \
  X(R, std::uint32_t, vpid, none, detail, "process.vpid", "Process id in its own namespace")      \
  X(R, bool, exe_writable, none, detail, "", "Whether its user may write the executable")         \
  X(R, bool, exe_upper_layer, none, detail, "",                                                   \
    "Whether the executable was added in the container")                                          \
  X(R, bool, exe_memfd, none, detail, "", "Whether the executable is only in memory")             \
  X(R, std::uint64_t, cap_effective, none, detail, "", "Effective capabilities, as bits")         \
  X(R, std::uint64_t, cap_permitted, none, detail, "", "Permitted capabilities, as bits")         \
  X(R, std::uint32_t, pid_namespace, none, detail, "", "Inode number of its pid namespace")       \
  X(R, std::uint32_t, net_namespace, none, detail, "", "Inode number of its network namespace")   \
  X(R, std::uint32_t, mount_namespace, none, detail, "", "Inode number of its mount namespace")   \
  X(R, std::string, unit, none, detail, "", "systemd unit")                                       \
  X(R, std::string, container_id, none, detail, "container.id", "Container; empty on the host")   \
  X(R, std::string, cgroup, none, detail, "", "Path below the cgroup2 root")                      \
  X(R, std::uint64_t, cgroup_id, none, detail, "", "cgroup2 id; 0 where unknown")

TRIVET_RECORD(ProcessRow, "processes", 1, "Living processes", TRIVET_PROCESS_ROW_COLUMNS);

// `facts` must outlive the table.
LiveTable process_table(const Facts& facts);

}  // namespace trivet
