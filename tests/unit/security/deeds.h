// SPDX-License-Identifier: Apache-2.0
// Events as the kernel programs would send them, built in one expression and delivered to a plugin.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "core/lifecycle.h"
#include "fake_host.h"
#include "security/syscalls.h"

namespace trivet::security {

inline void set_task(event_header& header, const ProcessRef& process) {
  header = {};
  if (!process) return;
  header.task = {process->key.start_ns, process->key.tgid, process->key.exec_count};
  header.tid = process->key.tgid;
  // Well after the start of every process of a test.
  header.time_ns = 60'000'000'000;
}

struct OpenDeed {
  std::string raw;
  std::string path;  // the kernel's; empty: the call failed with ENOENT
  std::string base;
  unsigned flags = O_RDONLY;
  security_call call = CALL_OPENAT;
  unsigned file_mode = S_IFREG | 0644;
};
inline void open_file(FakeHost& host, const ProcessRef& who, const OpenDeed& deed) {
  file_open_event event{};
  set_task(event.header, who);
  event.call = deed.call;
  event.result = deed.path.empty() ? -ENOENT : 3;
  event.flags = deed.flags;
  event.file_mode = deed.path.empty() ? 0 : deed.file_mode;
  event.inode = deed.path.empty() ? 0 : 42;
  event.directory = AT_FDCWD;
  event.raw_size = static_cast<std::uint16_t>(deed.raw.size());
  event.path_size = static_cast<std::uint16_t>(deed.path.size());
  event.base_size = static_cast<std::uint16_t>(deed.base.size());
  host.deliver(event, deed.raw + deed.path + deed.base);
}

struct LinkDeed {
  std::string old_path;
  std::string new_path;
  std::string base;
  security_call call = CALL_SYMLINKAT;
  long result = 0;
};
inline void link_file(FakeHost& host, const ProcessRef& who, const LinkDeed& deed) {
  file_link_event event{};
  set_task(event.header, who);
  event.call = deed.call;
  event.result = deed.result;
  event.old_size = static_cast<std::uint16_t>(deed.old_path.size());
  event.new_size = static_cast<std::uint16_t>(deed.new_path.size());
  bool hard = deed.call == CALL_LINK || deed.call == CALL_LINKAT;
  std::string old_base = hard ? deed.base : "";
  event.old_base_size = static_cast<std::uint16_t>(old_base.size());
  event.new_base_size = static_cast<std::uint16_t>(deed.base.size());
  host.deliver(event, deed.old_path + deed.new_path + old_base + deed.base);
}

struct ConnectDeed {
  std::string remote;
  std::uint16_t port = 0;
  std::string local = "10.0.0.1";
  std::uint16_t local_port = 40000;
  std::uint16_t protocol = 6;
  long result = 0;
};
inline void connect_socket(FakeHost& host, const ProcessRef& who, const ConnectDeed& deed) {
  socket_connect_event event{};
  set_task(event.header, who);
  event.call = CALL_CONNECT;
  event.result = deed.result;
  event.descriptor = 5;
  auto remote = IpAddress::parse(deed.remote), local = IpAddress::parse(deed.local);
  event.family = remote->family == 4 ? 2 : 10;
  std::memcpy(event.remote, remote->bytes.data(), 16);
  std::memcpy(event.local, local->bytes.data(), 16);
  event.remote_port = deed.port;
  event.local_port = deed.local_port;
  event.protocol = deed.protocol;
  event.type = deed.protocol == 6 ? 1 : 2;
  host.deliver(event);
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
