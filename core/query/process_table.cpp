// SPDX-License-Identifier: Apache-2.0
#include "query/process_table.h"

namespace trivet {
namespace {

ProcessRow row_of(const Process& process, const Facts& facts) {
  ProcessRow row;
  row.pid = process.key.tgid;
  row.process_start_ns = process.key.start_ns;
  row.process_exec_count = process.key.exec_count;
  row.ppid = process.parent.tgid;
  row.parent_start_ns = process.parent.start_ns;
  row.name = process.name;
  row.exe = process.exe;
  row.exe_inode = process.exe_inode;
  for (const auto& argument : process.args) {
    if (&argument != &process.args.front()) row.cmdline += ' ';
    row.cmdline += argument;
  }
  row.args = process.args;
  row.cwd = process.cwd;
  row.start_time.boot_ns = process.key.start_ns;
  row.exec_time.boot_ns = process.exec_ns;
  row.uid = process.uid;
  row.user = facts.user_name(process.uid).value_or("");
  row.real_uid = process.real_uid;
  row.gid = process.gid;
  row.group = facts.group_name(process.gid).value_or("");
  row.login_uid = process.login_uid;
  row.pgid = process.pgid;
  row.sid = process.sid;
  row.tty = process.tty;
  row.vpid = process.vpid;
  row.exe_writable = process.exe_writable;
  row.exe_upper_layer = process.exe_upper_layer;
  row.exe_memfd = process.exe_memfd;
  row.cap_effective = process.cap_effective;
  row.cap_permitted = process.cap_permitted;
  row.pid_namespace = process.pid_namespace;
  row.net_namespace = process.net_namespace;
  row.mount_namespace = process.mount_namespace;
  row.unit = process.unit;
  row.container_id = process.container_id;
  row.cgroup = process.cgroup;
  row.cgroup_id = process.cgroup_id;
  return row;
}

}  // namespace

LiveTable process_table(const Facts& facts) {
  return {&ProcessRow::schema(), [&facts](const std::function<void(const void*)>& visit) {
            // The facts are locked while they are visited: copy first, work afterwards.
            std::vector<ProcessRef> living;
            facts.each_process([&](const ProcessRef& process) { living.push_back(process); });
            for (const auto& process : living) {
              const ProcessRow row = row_of(*process, facts);
              visit(&row);
            }
          }};
}

}  // namespace trivet
