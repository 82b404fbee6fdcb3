// SPDX-License-Identifier: Apache-2.0
// Events as the kernel programs would send them, built in one expression and delivered to a plugin.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "core/lifecycle.h"
#include "fake_host.h"
#include "security/calls.h"

namespace trivet::security {

inline void set_task(event_header& header, const ProcessRef& process) {
  header = {};
  if (!process) return;
  header.task = {process->key.start_ns, process->key.tgid, process->key.exec_count};
  header.tid = process->key.tgid;
  // Well after the start of every process of a test.
  header.time_ns = 60'000'000'000;
}

// A call's event, with the parts of its tail in order.
inline void deliver_call(FakeHost& host, const ProcessRef& who, syscall_event event,
                         const std::array<std::string, 2>& texts,
                         const std::array<std::string, 2>& bases, const std::string& path,
                         const call_socket* socket = nullptr) {
  set_task(event.header, who);
  std::string tail;
  if (socket) {
    event.flags |= CALL_HAS_SOCKET;
    tail.assign(reinterpret_cast<const char*>(socket), sizeof(*socket));
  }
  for (std::size_t i = 0; i < 2; ++i) {
    event.text_size[i] = static_cast<std::uint16_t>(texts[i].size());
    event.base_size[i] = static_cast<std::uint16_t>(bases[i].size());
  }
  event.path_size = static_cast<std::uint16_t>(path.size());
  host.deliver(event, tail + texts[0] + texts[1] + bases[0] + bases[1] + path);
}

struct OpenDeed {
  std::string raw;
  std::string path;  // the kernel's; empty: the call failed with ENOENT
  std::string base;
  unsigned flags = O_RDONLY;
  std::uint16_t call = call_named("openat");
  unsigned file_mode = S_IFREG | 0644;
};
inline void open_file(FakeHost& host, const ProcessRef& who, const OpenDeed& deed) {
  syscall_event event{};
  bool failed = deed.path.empty();
  event.call = deed.call;
  event.result = failed ? -ENOENT : 3;
  event.descriptor = failed ? -1 : 3;
  event.open_flags = deed.flags;
  event.file_mode = failed ? 0 : deed.file_mode;
  event.inode = failed ? 0 : 42;
  deliver_call(host, who, event, {deed.raw, ""}, {deed.base, ""}, deed.path);
}

struct LinkDeed {
  std::string old_path;
  std::string new_path;
  std::string base;
  std::uint16_t call = call_named("symlinkat");
  long result = 0;
};
inline void link_file(FakeHost& host, const ProcessRef& who, const LinkDeed& deed) {
  syscall_event event{};
  event.call = deed.call;
  event.result = deed.result;
  bool symbolic = shape_of(deed.call) & CALL_FIRST_IS_TEXT;
  deliver_call(host, who, event, {deed.old_path, deed.new_path},
               {symbolic ? "" : deed.base, deed.base}, "");
}

// A call without paths or descriptors: its arguments are all there is.
inline void call(FakeHost& host, const ProcessRef& who, std::uint16_t which,
                 const std::array<std::uint64_t, CALL_ARGUMENTS>& arguments, long result = 0) {
  syscall_event event{};
  event.call = which;
  event.result = result;
  event.descriptor = -1;
  std::ranges::copy(arguments, event.arguments);
  deliver_call(host, who, event, {}, {}, "");
}

struct ConnectDeed {
  std::string remote;
  std::uint16_t port = 0;
  std::string local = "10.0.0.1";
  std::uint16_t local_port = 40000;
  std::uint16_t protocol = 6;
  long result = 0;
  std::uint16_t call = call_named("connect");
};
inline void connect_socket(FakeHost& host, const ProcessRef& who, const ConnectDeed& deed) {
  syscall_event event{};
  event.call = deed.call;
  event.result = deed.result;
  event.descriptor = 5;
  event.flags = deed.result < 0 ? CALL_PEER_FROM_CALLER : CALL_SOCKET_CONNECTED;
  call_socket socket{};
  auto remote = IpAddress::parse(deed.remote), local = IpAddress::parse(deed.local);
  socket.family = remote->family == 4 ? 2 : 10;
  std::memcpy(socket.remote, remote->bytes.data(), 16);
  std::memcpy(socket.local, local->bytes.data(), 16);
  socket.remote_port = deed.port;
  socket.local_port = deed.local_port;
  socket.protocol = deed.protocol;
  socket.type = deed.protocol == 6 ? 1 : 2;
  deliver_call(host, who, event, {}, {}, "", &socket);
}

inline void execute(FakeHost& host, const ProcessRef& who, unsigned flags = 0) {
  process_exec_event event{};
  set_task(event.header, who);
  event.flags = flags;
  host.deliver(event);
}

// A rule file in memory, named rules.yaml, as the plugin's only one.
inline const Config& with_rules(FakeHost& host, const std::string& yaml,
                                const std::string& more_keys = "") {
  host.files.texts["rules.yaml"] = yaml;
  return host.config("rules_files = [\"rules.yaml\"]\n" + more_keys);
}

}  // namespace trivet::security
