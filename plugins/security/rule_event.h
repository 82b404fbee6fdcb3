// SPDX-License-Identifier: Apache-2.0
// An event as rules see it: the kernel's record and the process that caused it, under the names and
// in the shapes that Falco's fields are defined by. Lives while one event is judged, on the worker.
#pragma once

#include <array>
#include <cstdint>
#include <forward_list>
#include <optional>
#include <string>
#include <string_view>

#include "core/lifecycle.h"
#include "security/syscalls.h"
#include "trivet/facts.h"
#include "trivet/host.h"
#include "trivet/value.h"

namespace trivet::security {

// Types of events in the order of enum security_call, then exec. Falco's names.
inline constexpr std::array<std::string_view, CALL_COUNT + 1> kEventTypes = {
    "open",    "openat",    "openat2", "creat", "open_by_handle_at", "link", "linkat",
    "symlink", "symlinkat", "connect", "execve"};
inline constexpr std::size_t kExecve = CALL_COUNT;

constexpr bool is_open(std::size_t type) {
  return type <= CALL_OPEN_BY_HANDLE_AT;
}
constexpr bool is_link(std::size_t type) {
  return type >= CALL_LINK && type <= CALL_SYMLINKAT;
}
constexpr bool is_connect(std::size_t type) {
  return type == CALL_CONNECT;
}

class RuleEvent {
 public:
  std::size_t type = 0;      // index into kEventTypes
  std::uint64_t number = 0;  // counts the events that rules were judged on, from 1
  const event_header* header = nullptr;
  ProcessRef process;  // null if unknown
  ProcessRef parent;   // of the process, as of the event; null if unknown
  const Facts* facts = nullptr;
  std::int64_t result = 0;  // what the call returned: -errno if it failed

  // Opens. The path is the kernel's if the call succeeded, else the argument made absolute. Paths
  // of links too are arguments made absolute, but for a symlink's target, which is as given.
  std::string path;
  std::string_view raw_path;
  std::uint32_t open_flags = 0;
  std::uint32_t mode = 0;
  std::uint32_t file_mode = 0;
  std::uint32_t device = 0;
  std::uint64_t inode = 0;

  std::int32_t directory = -100;  // the dirfd argument: AT_FDCWD where there is none

  // Links; a symlink's folder is the new one.
  std::string old_path;
  std::string new_path;
  std::int32_t new_directory = -100;

  // Connects.
  std::int32_t descriptor = -1;
  std::uint16_t family = 0;
  std::uint16_t protocol = 0;
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  IpAddress local;
  IpAddress remote;
  std::string_view socket_path;

  // The event that a record tells; none if its sizes contradict each other. It refers to the
  // record.
  static std::optional<RuleEvent> from(const Event<file_open_event>& event, const Facts& facts);
  static std::optional<RuleEvent> from(const Event<file_link_event>& event, const Facts& facts);
  static std::optional<RuleEvent> from(const Event<socket_connect_event>& event,
                                       const Facts& facts);
  static std::optional<RuleEvent> from(const Event<process_exec_event>& event, const Facts& facts);

  bool failed() const { return result < 0; }

  // Holds text that a field made up, for as long as the event lives.
  std::string_view keep(std::string text) const { return kept_.emplace_front(std::move(text)); }

 private:
  mutable std::forward_list<std::string> kept_;  // costs nothing while it is empty
};

// `path` seen from the folder `base`, without "." and "..", as text: no link is followed.
std::string absolute_path(std::string_view base, std::string_view path);

// "O_RDONLY|O_CLOEXEC"
std::string open_flag_names(std::uint32_t flags);
// "ENOENT" for -2, what a call returned; the number where it has no name.
std::string error_name(std::int64_t result);
// "CAP_CHOWN CAP_KILL"
std::string capability_names(std::uint64_t set);

}  // namespace trivet::security
