// SPDX-License-Identifier: Apache-2.0
// The table of system calls: one row is all that a call takes, from its numbers to the arguments
// that rules name. The kernel programs are built with their part of it (call_table.cpp). Static
// data; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "security/arguments.h"
#include "security/syscalls.h"

namespace trivet::security {

inline constexpr std::uint16_t kNoNumber = 0xffff;

// As asm/unistd_64.h, unistd_32.h and asm-generic/unistd.h have them.
struct CallNumbers {
  std::uint16_t x86_64 = kNoNumber;
  std::uint16_t i386 = kNoNumber;
  std::uint16_t arm64 = kNoNumber;
  std::uint16_t i386_older = kNoNumber;  // the same call with narrower arguments
  std::uint16_t socketcall = kNoNumber;  // linux/net.h
};

// Falco's classes, as evt.category has them.
enum class Category { file, net, process, ipc, signal, user, memory, system, other };

struct Call {
  std::string_view name;  // of the call, its event type and its tracepoint
  Category category;
  CallNumbers numbers;
  std::uint32_t shape;                     // CALL_*
  std::array<Argument, 8> arguments = {};  // in Falco's order, which is what evt.arg[0] counts
};

inline constexpr std::uint16_t kNo = kNoNumber;
inline constexpr Argument kRes = {"res", show_result};
inline constexpr Argument kFd = {"fd", show_result};
inline constexpr Argument kName = {"name", show_path};
inline constexpr Argument kPath = {"path", show_first};
inline constexpr Argument kFlags = {"flags", show_open_flags};
inline constexpr Argument kMode = {"mode", show_open_mode};
inline constexpr Argument kDev = {"dev", show_device};
inline constexpr Argument kIno = {"ino", show_inode};
inline constexpr Argument kOldPath = {"oldpath", show_first};
inline constexpr Argument kNewPath = {"newpath", show_second};
inline constexpr std::uint32_t kNewDescriptor = CALL_RETURNS_DESCRIPTOR;
inline constexpr std::uint32_t kOpen = CALL_OPENS | CALL_RETURNS_DESCRIPTOR;

// clang-format off
inline constexpr Call kCalls[] = {
    // Files: opened,
    {"open", Category::file, {2, 5, kNo}, kOpen | CALL_PATH(0) | CALL_FLAGS(1),
     {kFd, kName, kFlags, kMode, kDev, kIno}},
    {"openat", Category::file, {257, 295, 56}, kOpen | CALL_PATH_AT(0, 1) | CALL_FLAGS(2),
     {kFd, {"dirfd", show_int, 0}, kName, kFlags, kMode, kDev, kIno}},
    {"openat2", Category::file, {437, 437, 437}, kOpen | CALL_PATH_AT(0, 1) | CALL_OPEN_HOW,
     {kFd, {"dirfd", show_int, 0}, kName, kFlags, kMode, {"resolve"}, kDev, kIno}},
    {"creat", Category::file, {85, 8}, kOpen | CALL_PATH(0),
     {kFd, kName, kMode, kDev, kIno, {"creat_flags"}}},
    {"open_by_handle_at", Category::file, {304, 342, 265}, kOpen | CALL_FLAGS(2),
     {kFd, {"mountfd", show_int, 0}, kFlags, {"path", show_path}, kDev, kIno}},
    // named,
    {"link", Category::file, {86, 9}, CALL_PATH(0) | CALL_SECOND_PATH(1),
     {kRes, kOldPath, kNewPath}},
    {"linkat", Category::file, {265, 303, 37}, CALL_PATH_AT(0, 1) | CALL_SECOND_PATH_AT(2, 3),
     {kRes, {"olddir", show_int, 0}, kOldPath, {"newdir", show_int, 2}, kNewPath, {"flags", show_at_flags, 4}}},
    {"symlink", Category::file, {88, 83}, CALL_TEXT(0) | CALL_SECOND_PATH(1),
     {kRes, {"target", show_first}, {"linkpath", show_second}}},
    {"symlinkat", Category::file, {266, 304, 36}, CALL_TEXT(0) | CALL_SECOND_PATH_AT(1, 2),
     {kRes, {"target", show_first}, {"linkdirfd", show_int, 1}, {"linkpath", show_second}}},
    {"rename", Category::file, {82, 38}, CALL_PATH(0) | CALL_SECOND_PATH(1),
     {kRes, kOldPath, kNewPath}},
    {"renameat", Category::file, {264, 302, 38}, CALL_PATH_AT(0, 1) | CALL_SECOND_PATH_AT(2, 3),
     {kRes, {"olddirfd", show_int, 0}, kOldPath, {"newdirfd", show_int, 2}, kNewPath}},
    {"renameat2", Category::file, {316, 353, 276}, CALL_PATH_AT(0, 1) | CALL_SECOND_PATH_AT(2, 3),
     {kRes, {"olddirfd", show_int, 0}, kOldPath, {"newdirfd", show_int, 2}, kNewPath, {"flags", show_rename_flags, 4}}},
    {"unlink", Category::file, {87, 10}, CALL_PATH(0), {kRes, kPath}},
    {"unlinkat", Category::file, {263, 301, 35}, CALL_PATH_AT(0, 1),
     {kRes, {"dirfd", show_int, 0}, {"name", show_first}, {"flags", show_at_flags, 2}}},
    {"mkdir", Category::file, {83, 39}, CALL_PATH(0), {kRes, kPath, {"mode", show_octal, 1}}},
    {"mkdirat", Category::file, {258, 296, 34}, CALL_PATH_AT(0, 1),
     {kRes, {"dirfd", show_int, 0}, kPath, {"mode", show_octal, 2}}},
    {"rmdir", Category::file, {84, 40}, CALL_PATH(0), {kRes, kPath}},
    {"mknod", Category::file, {133, 14}, CALL_PATH(0),
     {kRes, kPath, {"mode", show_permissions, 1}, {"dev", show_unsigned, 2}}},
    {"mknodat", Category::file, {259, 297, 33}, CALL_PATH_AT(0, 1),
     {kRes, {"dirfd", show_int, 0}, kPath, {"mode", show_permissions, 2}, {"dev", show_unsigned, 3}}},
    // changed.
    {"chmod", Category::file, {90, 15}, CALL_PATH(0) | CALL_FOLLOWS,
     {kRes, {"filename", show_first}, {"mode", show_permissions, 1}}},
    {"fchmod", Category::file, {91, 94, 52}, CALL_DESCRIPTOR(0),
     {kRes, {"fd", show_int, 0}, {"mode", show_permissions, 1}}},
    {"fchmodat", Category::file, {268, 306, 53}, CALL_PATH_AT(0, 1) | CALL_FOLLOWS,
     {kRes, {"dirfd", show_int, 0}, {"filename", show_first}, {"mode", show_permissions, 2}}},
    {"fchmodat2", Category::file, {452, 452, 452}, CALL_PATH_AT(0, 1) | CALL_FOLLOWS,
     {kRes, {"dirfd", show_int, 0}, {"filename", show_first}, {"mode", show_permissions, 2}, {"flags", show_at_flags, 3}}},
    {"chown", Category::file, {92, 212, kNo, 182}, CALL_PATH(0) | CALL_FOLLOWS,
     {kRes, kPath, {"uid", show_user, 1}, {"gid", show_group, 2}}},
    {"lchown", Category::file, {94, 198, kNo, 16}, CALL_PATH(0),
     {kRes, kPath, {"uid", show_user, 1}, {"gid", show_group, 2}}},
    {"fchown", Category::file, {93, 207, 55, 95}, CALL_DESCRIPTOR(0),
     {kRes, {"fd", show_int, 0}, {"uid", show_user, 1}, {"gid", show_group, 2}}},
    {"fchownat", Category::file, {260, 298, 54}, CALL_PATH_AT(0, 1) | CALL_FOLLOWS,
     {kRes, {"dirfd", show_int, 0}, {"pathname", show_first}, {"uid", show_user, 2}, {"gid", show_group, 3}, {"flags", show_at_flags, 4}}},
    {"truncate", Category::file, {76, 193, 45, 92}, CALL_PATH(0) | CALL_FOLLOWS, {kRes, kPath}},
    {"ftruncate", Category::file, {77, 194, 46, 93}, CALL_DESCRIPTOR(0), {kRes, {"fd", show_int, 0}}},
    // Descriptors.
    {"dup", Category::file, {32, 41, 23}, kNewDescriptor | CALL_PICKS, {kRes, {"oldfd", show_int, 0}}},
    {"dup2", Category::file, {33, 63}, kNewDescriptor | CALL_PICKS,
     {kRes, {"oldfd", show_int, 0}, {"newfd", show_int, 1}}},
    {"dup3", Category::file, {292, 330, 24}, kNewDescriptor | CALL_PICKS,
     {kRes, {"oldfd", show_int, 0}, {"newfd", show_int, 1}, {"flags", show_descriptor_flags, 2}}},
    {"memfd_create", Category::memory, {319, 356, 279}, kNewDescriptor | CALL_TEXT(0),
     {kFd, {"name", show_first}, {"flags", show_memfd_flags, 1}}},
    {"userfaultfd", Category::file, {323, 374, 282}, kNewDescriptor,
     {kRes, {"flags", show_descriptor_flags, 0}}},
    {"io_uring_setup", Category::other, {425, 425, 425}, kNewDescriptor,
     {kRes, {"entries", show_unsigned, 0}}},
    {"bpf", Category::other, {321, 357, 280}, CALL_PICKS, {kFd, {"cmd", show_bpf_command, 0}}},
    {"perf_event_open", Category::other, {298, 336, 241}, kNewDescriptor, {kRes}},
    // Sockets.
    {"socket", Category::net, {41, 359, 198, kNo, 1}, kNewDescriptor,
     {kFd, {"domain", show_domain, 0}, {"type", show_unsigned, 1}, {"proto", show_unsigned, 2}}},
    {"bind", Category::net, {49, 361, 200, kNo, 2}, CALL_DESCRIPTOR(0) | CALL_SERVES,
     {kRes, {"addr", show_local}, {"fd", show_int, 0}}},
    {"connect", Category::net, {42, 362, 203, kNo, 3}, CALL_DESCRIPTOR(0) | CALL_ADDRESS(1),
     {kRes, {"tuple", show_tuple}, {"fd", show_int, 0}, {"addr", show_peer}}},
    {"listen", Category::net, {50, 363, 201, kNo, 4}, CALL_DESCRIPTOR(0) | CALL_SERVES,
     {kRes, {"fd", show_int, 0}, {"backlog", show_int, 1}}},
    {"accept", Category::net, {43, kNo, 202, kNo, 5}, kNewDescriptor | CALL_SERVES,
     {kFd, {"tuple", show_tuple}, {"queuepct"}, {"queuelen"}, {"queuemax"}}},
    {"accept4", Category::net, {288, 364, 242, kNo, 18}, kNewDescriptor | CALL_SERVES,
     {kFd, {"tuple", show_tuple}, {"queuepct"}, {"queuelen"}, {"queuemax"}, {"flags", show_int, 3}}},
    {"sendto", Category::net, {44, 369, 206, kNo, 11}, CALL_DESCRIPTOR(0) | CALL_ADDRESS(4) | CALL_SENDS,
     {kRes, {"data"}, {"fd", show_int, 0}, {"size", show_unsigned, 2}, {"tuple", show_tuple}}},
    {"sendmsg", Category::net, {46, 370, 211, kNo, 16}, CALL_DESCRIPTOR(0) | CALL_MESSAGE | CALL_SENDS,
     {kRes, {"data"}, {"fd", show_int, 0}, {"size"}, {"tuple", show_tuple}}},
    // Processes.
    {"clone", Category::process, {56, 120, 220}, 0, {kRes, {"flags", show_clone_flags, 0}}},
    {"clone3", Category::process, {435, 435, 435}, 0, {kRes}},
    {"fork", Category::process, {57, 2}, 0, {kRes}},
    {"vfork", Category::process, {58, 190}, 0, {kRes}},
    {"ptrace", Category::process, {101, 26, 117}, 0,
     {kRes, {"addr"}, {"data"}, {"request", show_ptrace_request, 0}, {"pid", show_int, 1}}},
    {"process_vm_readv", Category::process, {310, 347, 270}, 0, {kRes, {"pid", show_int, 0}}},
    {"process_vm_writev", Category::process, {311, 348, 271}, 0, {kRes, {"pid", show_int, 0}}},
    {"prctl", Category::process, {157, 172, 167}, 0,
     {kRes, {"option", show_prctl_option, 0}, {"arg2_str"}, {"arg2_int", show_long, 1}}},
    {"capset", Category::process, {126, 185, 91}, 0,
     {kRes, {"cap_inheritable"}, {"cap_permitted", show_permitted}, {"cap_effective", show_effective}}},
    {"kill", Category::signal, {62, 37, 129}, 0, {kRes, {"pid", show_int, 0}, {"sig", show_signal, 1}}},
    {"tkill", Category::signal, {200, 238, 130}, 0, {kRes, {"tid", show_int, 0}, {"sig", show_signal, 1}}},
    {"tgkill", Category::signal, {234, 270, 131}, 0,
     {kRes, {"pid", show_int, 0}, {"tid", show_int, 1}, {"sig", show_signal, 2}}},
    {"mprotect", Category::memory, {10, 125, 226}, 0,
     {kRes, {"addr", show_hexadecimal, 0}, {"length", show_unsigned, 1}, {"prot", show_protection, 2}}},
    // Identities.
    {"setuid", Category::user, {105, 213, 146, 23}, 0, {kRes, {"uid", show_user, 0}}},
    {"setgid", Category::user, {106, 214, 144, 46}, 0, {kRes, {"gid", show_group, 0}}},
    {"setreuid", Category::user, {113, 203, 145, 70}, 0,
     {kRes, {"ruid", show_user, 0}, {"euid", show_user, 1}}},
    {"setregid", Category::user, {114, 204, 143, 71}, 0,
     {kRes, {"rgid", show_group, 0}, {"egid", show_group, 1}}},
    {"setresuid", Category::user, {117, 208, 147, 164}, 0,
     {kRes, {"ruid", show_user, 0}, {"euid", show_user, 1}, {"suid", show_user, 2}}},
    {"setresgid", Category::user, {119, 210, 149, 170}, 0,
     {kRes, {"rgid", show_group, 0}, {"egid", show_group, 1}, {"sgid", show_group, 2}}},
    // Namespaces, mounts and the kernel itself.
    {"unshare", Category::process, {272, 310, 97}, CALL_JUDGED_AS_BEFORE, {kRes, {"flags", show_clone_flags, 0}}},
    {"setns", Category::process, {308, 346, 268}, CALL_DESCRIPTOR(0) | CALL_JUDGED_AS_BEFORE,
     {kRes, {"fd", show_int, 0}, {"nstype", show_clone_flags, 1}}},
    {"chroot", Category::process, {161, 61, 51}, CALL_PATH(0) | CALL_FOLLOWS, {kRes, kPath}},
    {"pivot_root", Category::file, {155, 217, 41}, CALL_PATH(0) | CALL_SECOND_PATH(1) | CALL_FOLLOWS | CALL_SECOND_FOLLOWS,
     {kRes, {"new_root", show_first}, {"put_old", show_second}}},
    {"mount", Category::file, {165, 21, 40}, CALL_TEXT(0) | CALL_SECOND_PATH(1) | CALL_SECOND_FOLLOWS,
     {kRes, {"dev", show_first}, {"dir", show_second}, {"type"}, {"flags", show_mount_flags, 3}}},
    {"move_mount", Category::file, {429, 429, 429}, CALL_PATH_AT(0, 1) | CALL_SECOND_PATH_AT(2, 3), {kRes}},
    {"umount", Category::file, {kNo, 22}, CALL_PATH(0) | CALL_FOLLOWS, {kRes, {"name", show_first}}},
    {"umount2", Category::file, {166, 52, 39}, CALL_PATH(0) | CALL_FOLLOWS,
     {kRes, {"name", show_first}, {"flags", show_int, 1}}},
    {"init_module", Category::other, {175, 128, 105}, CALL_TEXT(2),
     {kRes, {"img"}, {"length", show_unsigned, 1}, {"uargs", show_first}}},
    {"finit_module", Category::other, {313, 350, 273}, CALL_DESCRIPTOR(0) | CALL_TEXT(1),
     {kRes, {"fd", show_int, 0}, {"uargs", show_first}, {"flags", show_int, 2}}},
    {"delete_module", Category::other, {176, 129, 106}, CALL_TEXT(0),
     {kRes, {"name", show_first}, {"flags", show_int, 1}}},
    {"kexec_load", Category::system, {246, 283, 104}, 0, {kRes}},
    {"kexec_file_load", Category::system, {320, kNo, 294}, 0, {kRes}},
};
// clang-format on

static_assert(std::size(kCalls) < CALLS_MAX && std::size(kCalls) < 255);

// Types of events: the calls, then exec, which the kernel tells otherwise. Falco's names.
inline constexpr std::size_t kExecve = std::size(kCalls);
inline constexpr auto kEventTypes = [] {
  std::array<std::string_view, kExecve + 1> names;
  for (std::size_t i = 0; i < kExecve; ++i) names[i] = kCalls[i].name;
  names[kExecve] = "execve";
  return names;
}();

// The place of a call in the table, where its name is known when this is compiled.
consteval std::uint16_t call_named(std::string_view name) {
  std::uint16_t at = 0;
  while (kCalls[at].name != name) ++at;  // no such call: it does not compile
  return at;
}

// The calls that io_uring makes too, as enum ring_call has them.
inline constexpr std::array<std::uint16_t, RING_CALLS> kRingCalls = {call_named("openat"),
                                                                     call_named("openat2")};

constexpr std::uint16_t native_number(const Call& call) {
#ifdef __x86_64__
  return call.numbers.x86_64;
#else
  return call.numbers.arm64;
#endif
}

constexpr std::uint32_t shape_of(std::size_t type) {
  return type < kExecve ? kCalls[type].shape : 0;
}
constexpr bool is_open(std::size_t type) {
  return shape_of(type) & CALL_OPENS;
}
constexpr bool is_send(std::size_t type) {
  return shape_of(type) & CALL_SENDS;
}
constexpr bool picks(std::size_t type) {
  return shape_of(type) & CALL_PICKS;
}
constexpr bool is_connect(std::size_t type) {
  return type == call_named("connect");
}
// Whether it opens nothing, and has a path that leads somewhere.
constexpr bool has_paths(std::size_t type) {
  return !is_open(type) && (CALL_INDEX(shape_of(type), CALL_SECOND_PATH(0)) != 0 ||
                            (CALL_INDEX(shape_of(type), CALL_PATH(0)) != 0 &&
                             !(shape_of(type) & CALL_FIRST_IS_TEXT)));
}
// Whether fd.* can have a value.
constexpr bool has_descriptor(std::size_t type) {
  return shape_of(type) & CALL_RETURNS_DESCRIPTOR ||
         CALL_INDEX(shape_of(type), CALL_DESCRIPTOR(0)) != 0;
}

}  // namespace trivet::security
