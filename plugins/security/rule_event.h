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
#include "security/calls.h"
#include "trivet/facts.h"
#include "trivet/host.h"
#include "trivet/value.h"

namespace trivet::security {

class RuleEvent {
 public:
  std::size_t type = 0;      // index into kEventTypes
  std::uint64_t number = 0;  // counts the events that rules were judged on, from 1
  const event_header* header = nullptr;
  ProcessRef process;  // null if unknown
  ProcessRef parent;   // of the process, as of the event; null if unknown
  const Facts* facts = nullptr;
  const AddressNames* names = nullptr;  // null: no rule asks for names of addresses
  std::int64_t result = 0;              // what the call returned: -errno if it failed

  std::array<std::uint64_t, CALL_ARGUMENTS> arguments{};  // of a call, as its caller passed them

  // The paths among the arguments: as given, and made absolute as text (other text stays as it is).
  std::array<std::string_view, 2> given_raw;
  std::array<std::string, 2> given;
  std::array<std::string_view, 2> base;  // the folders that relative ones start from
  // Where the kernel found that they led; empty where it did not show it.
  std::array<std::string_view, 2> resolved;
  std::uint32_t resolved_device = 0;  // of what the first led to; inode 0: unknown
  std::uint64_t resolved_inode = 0;
  bool root_elsewhere = false;  // the caller's / is not that of its mounts
  bool file_unknown = false;    // of an open: the file is not, or maybe not, the one told
  // A path may have led elsewhere when the kernel followed it: what is told was looked up after.
  bool uncertain = false;

  // Of the call's descriptor. The path is the kernel's; of an open that failed it is the argument
  // made absolute.
  std::int32_t descriptor = -1;
  std::string path;
  std::size_t below = 0;    // bytes at its end that are below the file's mount
  std::string_view origin;  // what part of its file system that mount shows, where not all of it
  std::uint32_t file_mode = 0;  // st_mode; 0: there is no file
  std::uint32_t device = 0;
  std::uint64_t inode = 0;

  // Of opens.
  std::uint32_t open_flags = 0;
  std::uint32_t open_mode = 0;

  // Of the descriptor's socket; family 0: it is none.
  std::uint16_t family = 0;
  std::uint16_t protocol = 0;
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  IpAddress local;
  IpAddress remote;  // family 0: it has no peer
  std::string_view socket_path;
  bool connected = false;  // the kernel knows a peer
  bool addressed = false;  // the peer is the one that the caller named

  // The event that a record tells; none if its sizes contradict each other. It refers to the
  // record.
  static std::optional<RuleEvent> from(const Event<syscall_event>& event, const Facts& facts);
  static std::optional<RuleEvent> from(const Event<process_exec_event>& event, const Facts& facts);

  // "192.0.2.1:40000->192.0.2.7:443"; of a socket without a peer its own end, of a Unix socket the
  // path.
  std::string socket_name() const;
  // Whether the socket's own end is the server's: it listens, or it was accepted.
  bool is_server() const;
  bool failed() const { return result < 0; }

  // Holds text that a field made up, for as long as the event lives.
  std::string_view keep(std::string text) const { return kept_.emplace_front(std::move(text)); }

 private:
  void read_socket(const call_socket& ends, std::string_view name);

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
