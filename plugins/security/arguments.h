// SPDX-License-Identifier: Apache-2.0
// How arguments of system calls are shown: each the text that Falco gives it. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trivet::security {

class RuleEvent;

// An argument of a call under the name that Falco gives it.
struct Argument {
  std::string_view name = {};
  std::string (*get)(const RuleEvent& event, unsigned n) = nullptr;  // null: not built
  unsigned n = 0;                                                    // which of the call's
};

// What the call returned: the name of the error, if it failed.
std::string show_result(const RuleEvent& event, unsigned);
// Paths made absolute: the first and the second argument that is one, and that of the descriptor.
std::string show_first(const RuleEvent& event, unsigned);
std::string show_second(const RuleEvent& event, unsigned);
std::string show_path(const RuleEvent& event, unsigned);
// Of opens.
std::string show_open_flags(const RuleEvent& event, unsigned);
std::string show_open_mode(const RuleEvent& event, unsigned);
std::string show_device(const RuleEvent& event, unsigned);
std::string show_inode(const RuleEvent& event, unsigned);
// Of sockets: "192.0.2.7:443" or a path; both ends as fd.name has them.
std::string show_peer(const RuleEvent& event, unsigned);
std::string show_local(const RuleEvent& event, unsigned);
std::string show_tuple(const RuleEvent& event, unsigned);
// Numbers.
std::string show_int(const RuleEvent& event, unsigned n);
std::string show_long(const RuleEvent& event, unsigned n);
std::string show_unsigned(const RuleEvent& event, unsigned n);
std::string show_hexadecimal(const RuleEvent& event, unsigned n);
std::string show_octal(const RuleEvent& event, unsigned n);
// Names; a number that has none is shown as it is.
std::string show_user(const RuleEvent& event, unsigned n);
std::string show_group(const RuleEvent& event, unsigned n);
std::string show_signal(const RuleEvent& event, unsigned n);
std::string show_domain(const RuleEvent& event, unsigned n);
std::string show_bpf_command(const RuleEvent& event, unsigned n);
std::string show_ptrace_request(const RuleEvent& event, unsigned n);
std::string show_prctl_option(const RuleEvent& event, unsigned n);
// Flags: names with | between them.
std::string show_permissions(const RuleEvent& event, unsigned n);
std::string show_clone_flags(const RuleEvent& event, unsigned n);
std::string show_mount_flags(const RuleEvent& event, unsigned n);
std::string show_at_flags(const RuleEvent& event, unsigned n);
std::string show_rename_flags(const RuleEvent& event, unsigned n);
std::string show_descriptor_flags(const RuleEvent& event, unsigned n);
std::string show_memfd_flags(const RuleEvent& event, unsigned n);
std::string show_protection(const RuleEvent& event, unsigned n);
// What the process may do after the call.
std::string show_permitted(const RuleEvent& event, unsigned);
std::string show_effective(const RuleEvent& event, unsigned);

}  // namespace trivet::security
