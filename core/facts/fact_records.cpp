// SPDX-License-Identifier: Apache-2.0
#include "facts/fact_records.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <span>
#include <string>

#include "core/lifecycle.h"
#include "core/sockets.h"

namespace trivet {
namespace {

constexpr std::size_t kMaxPart = 0xffff;  // sizes in records have 16 bits

task_key key_of(const TaskKey& key) {
  return {key.start_ns, key.tgid, key.exec_count};
}

template <class Event>
void fill_header(Event& event, lane in, std::uint64_t time_ns, const TaskKey& task) {
  event.header.size = sizeof(Event);
  event.header.type = EventTraits<Event>::id;
  event.header.version = EventTraits<Event>::version;
  event.header.lane = in;
  event.header.time_ns = time_ns;
  event.header.task = key_of(task);
}

template <class Event>
FactRecord with_tail(Event event, const std::string& tail) {
  event.header.size = static_cast<__u32>(sizeof(Event) + tail.size());
  FactRecord record(sizeof(Event));
  std::memcpy(record.data(), &event, sizeof(Event));
  std::ranges::copy(std::as_bytes(std::span(tail)), std::back_inserter(record));
  return record;
}

__u16 add(std::string& tail, const std::string& part) {
  const auto size = std::min(part.size(), kMaxPart);
  tail.append(part, 0, size);
  return static_cast<__u16>(size);
}

// IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
void put(__u8 (&to)[16], const IpAddress& address) {
  if (address.family != 4) {
    std::ranges::copy(address.bytes, to);
    return;
  }
  to[10] = to[11] = 0xff;
  std::copy_n(address.bytes.begin(), 4, to + 12);
}

}  // namespace

FactRecord process_record(const Process& process, bool coarse) {
  process_exec_event event{};
  fill_header(event, LANE_LIFECYCLE, process.exec_ns, process.key);
  event.header.cgroup_id = process.cgroup_id;
  event.parent = key_of(process.parent);
  event.cap_effective = process.cap_effective;
  event.cap_permitted = process.cap_permitted;
  event.exe_inode = process.exe_inode;
  event.exe_ctime_ns = process.exe_ctime_ns;
  event.exe_mtime_ns = process.exe_mtime_ns;
  event.uid = process.real_uid;
  event.euid = process.uid;
  event.gid = event.egid = process.gid;
  event.login_uid = process.login_uid.value_or(0xffffffff);
  event.vpid = process.vpid;
  event.pgid = process.pgid;
  event.sid = process.sid;
  event.tty = process.tty;
  event.pid_namespace = process.pid_namespace;
  event.net_namespace = process.net_namespace;
  event.mount_namespace = process.mount_namespace;
  const auto flag = [&](bool set, process_flags one) {
    if (set) event.flags |= one;
  };
  flag(coarse, PROCESS_COARSE);
  flag(process.args_truncated, PROCESS_ARGS_TRUNCATED);
  flag(process.exe_upper_layer, PROCESS_EXE_UPPER_LAYER);
  flag(process.exe_memfd, PROCESS_EXE_MEMFD);
  flag(process.exe_writable, PROCESS_EXE_WRITABLE);
  flag(process.host_namespaces, PROCESS_HOST_PID_NS);
  process.name.copy(event.comm, sizeof(event.comm));
  // A NUL behind each, so that an empty last one is told too.
  std::string args, tail;
  for (const auto& argument : process.args) args += argument + '\0';
  event.exe_size = add(tail, process.exe);
  event.cwd_size = add(tail, process.cwd);
  event.args_size = add(tail, args);
  event.cgroup_size = add(tail, process.cgroup);
  return with_tail(event, tail);
}

FactRecord exit_record(const TaskKey& task, std::uint64_t exited_ns) {
  process_exit_event event{};
  fill_header(event, LANE_LIFECYCLE, exited_ns, task);
  return with_tail(event, {});
}

FactRecord socket_record(const Socket& socket) {
  socket_state_event event{};
  fill_header(event, LANE_BULK, socket.since_ns, socket.owner);
  event.header.socket_cookie = socket.cookie;
  event.header.cgroup_id = socket.cgroup_id;
  event.protocol = socket.protocol;
  event.state = event.old_state = socket.state;
  event.net_namespace = socket.net_namespace;
  put(event.local_address, socket.local);
  event.local_port = socket.local_port;
  if (socket.remote.family != 0) {
    put(event.peer_address, socket.remote);
    event.peer_port = socket.remote_port;
    event.flags |= SOCKET_HAS_PEER;
  }
  return with_tail(event, {});
}

}  // namespace trivet
