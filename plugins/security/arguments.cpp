// SPDX-License-Identifier: Apache-2.0
#include "security/arguments.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/memfd.h>
#include <linux/prctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <span>

#include "security/rule_event.h"

namespace trivet::security {
namespace {

struct Name {
  std::uint64_t value;
  std::string_view name;
};
#define NAME(constant) \
  { constant, #constant }

template <class... Arguments>
std::string formatted(const char* format, Arguments... arguments) {
  char text[32];
  std::snprintf(text, sizeof(text), format, arguments...);
  return text;
}

std::string name_in(std::span<const Name> names, std::uint64_t value) {
  for (const auto& entry : names) {
    if (entry.value == value) return std::string(entry.name);
  }
  return std::to_string(value);
}

// "0" where no bit has a name.
std::string flags_in(std::span<const Name> names, std::uint64_t value) {
  std::string out;
  for (const auto& entry : names) {
    if ((value & entry.value) == entry.value) out.append(out.empty() ? "" : "|").append(entry.name);
  }
  return out.empty() ? "0" : out;
}

std::uint32_t low(const RuleEvent& event, unsigned n) {
  return static_cast<std::uint32_t>(event.arguments[n]);
}

std::string endpoint(const IpAddress& address, std::uint16_t port) {
  return address.to_string() + ":" + std::to_string(port);
}

constexpr Name kPermissions[] = {NAME(S_IXOTH), NAME(S_IWOTH), NAME(S_IROTH), NAME(S_IXGRP),
                                 NAME(S_IWGRP), NAME(S_IRGRP), NAME(S_IXUSR), NAME(S_IWUSR),
                                 NAME(S_IRUSR), NAME(S_ISVTX), NAME(S_ISGID), NAME(S_ISUID)};
// A kind of file is one number, not bits.
constexpr Name kFileKinds[] = {NAME(S_IFIFO), NAME(S_IFCHR), NAME(S_IFDIR),
                               NAME(S_IFBLK), NAME(S_IFREG), NAME(S_IFSOCK)};
constexpr Name kCloneFlags[] = {NAME(CLONE_FILES),        NAME(CLONE_FS),
                                NAME(CLONE_IO),           NAME(CLONE_NEWIPC),
                                NAME(CLONE_NEWNET),       NAME(CLONE_NEWNS),
                                NAME(CLONE_NEWPID),       NAME(CLONE_NEWUTS),
                                NAME(CLONE_PARENT),       NAME(CLONE_PARENT_SETTID),
                                NAME(CLONE_PTRACE),       NAME(CLONE_SIGHAND),
                                NAME(CLONE_SYSVSEM),      NAME(CLONE_THREAD),
                                NAME(CLONE_UNTRACED),     NAME(CLONE_VM),
                                NAME(CLONE_NEWUSER),      NAME(CLONE_CHILD_CLEARTID),
                                NAME(CLONE_CHILD_SETTID), NAME(CLONE_SETTLS),
                                NAME(CLONE_VFORK),        NAME(CLONE_NEWCGROUP)};
constexpr Name kMountFlags[] = {{MS_RDONLY, "RDONLY"},
                                {MS_NOSUID, "NOSUID"},
                                {MS_NODEV, "NODEV"},
                                {MS_NOEXEC, "NOEXEC"},
                                {MS_SYNCHRONOUS, "SYNCHRONOUS"},
                                {MS_REMOUNT, "REMOUNT"},
                                {MS_MANDLOCK, "MANDLOCK"},
                                {MS_DIRSYNC, "DIRSYNC"},
                                {MS_NOATIME, "NOATIME"},
                                {MS_NODIRATIME, "NODIRATIME"},
                                {MS_BIND, "BIND"},
                                {MS_MOVE, "MOVE"},
                                {MS_REC, "REC"},
                                {MS_SILENT, "SILENT"},
                                {MS_UNBINDABLE, "UNBINDABLE"},
                                {MS_PRIVATE, "PRIVATE"},
                                {MS_SLAVE, "SLAVE"},
                                {MS_SHARED, "SHARED"},
                                {MS_RELATIME, "RELATIME"},
                                {MS_STRICTATIME, "STRICTATIME"},
                                {MS_LAZYTIME, "LAZYTIME"}};
constexpr Name kAtFlags[] = {NAME(AT_SYMLINK_NOFOLLOW), NAME(AT_REMOVEDIR), NAME(AT_SYMLINK_FOLLOW),
                             NAME(AT_EMPTY_PATH)};
constexpr Name kRenameFlags[] = {NAME(RENAME_NOREPLACE), NAME(RENAME_EXCHANGE),
                                 NAME(RENAME_WHITEOUT)};
constexpr Name kDescriptorFlags[] = {NAME(O_CLOEXEC), NAME(O_NONBLOCK)};
constexpr Name kMemfdFlags[] = {NAME(MFD_CLOEXEC), NAME(MFD_ALLOW_SEALING), NAME(MFD_HUGETLB)};
constexpr Name kProtections[] = {NAME(PROT_READ),   NAME(PROT_WRITE),     NAME(PROT_EXEC),
                                 {0x8, "PROT_SEM"}, NAME(PROT_GROWSDOWN), NAME(PROT_GROWSUP)};
constexpr Name kDomains[] = {
    NAME(AF_UNSPEC),    NAME(AF_UNIX),       NAME(AF_INET),    NAME(AF_AX25),    NAME(AF_IPX),
    NAME(AF_APPLETALK), NAME(AF_NETROM),     NAME(AF_BRIDGE),  NAME(AF_ATMPVC),  NAME(AF_X25),
    NAME(AF_INET6),     NAME(AF_ROSE),       NAME(AF_DECnet),  NAME(AF_NETBEUI), NAME(AF_SECURITY),
    NAME(AF_KEY),       NAME(AF_NETLINK),    NAME(AF_PACKET),  NAME(AF_ASH),     NAME(AF_ECONET),
    NAME(AF_ATMSVC),    NAME(AF_RDS),        NAME(AF_SNA),     NAME(AF_IRDA),    NAME(AF_PPPOX),
    NAME(AF_WANPIPE),   NAME(AF_LLC),        NAME(AF_IB),      NAME(AF_MPLS),    NAME(AF_CAN),
    NAME(AF_TIPC),      NAME(AF_BLUETOOTH),  NAME(AF_IUCV),    NAME(AF_RXRPC),   NAME(AF_ISDN),
    NAME(AF_PHONET),    NAME(AF_IEEE802154), NAME(AF_CAIF),    NAME(AF_ALG),     NAME(AF_NFC),
    NAME(AF_VSOCK),     NAME(AF_KCM),        NAME(AF_QIPCRTR), NAME(AF_SMC),     NAME(AF_XDP)};
constexpr Name kBpfCommands[] = {NAME(BPF_MAP_CREATE),        NAME(BPF_MAP_LOOKUP_ELEM),
                                 NAME(BPF_MAP_UPDATE_ELEM),   NAME(BPF_MAP_DELETE_ELEM),
                                 NAME(BPF_MAP_GET_NEXT_KEY),  NAME(BPF_PROG_LOAD),
                                 NAME(BPF_OBJ_PIN),           NAME(BPF_OBJ_GET),
                                 NAME(BPF_PROG_ATTACH),       NAME(BPF_PROG_DETACH),
                                 NAME(BPF_PROG_TEST_RUN),     NAME(BPF_PROG_GET_NEXT_ID),
                                 NAME(BPF_MAP_GET_NEXT_ID),   NAME(BPF_PROG_GET_FD_BY_ID),
                                 NAME(BPF_MAP_GET_FD_BY_ID),  NAME(BPF_OBJ_GET_INFO_BY_FD),
                                 NAME(BPF_PROG_QUERY),        NAME(BPF_RAW_TRACEPOINT_OPEN),
                                 NAME(BPF_BTF_LOAD),          NAME(BPF_BTF_GET_FD_BY_ID),
                                 NAME(BPF_TASK_FD_QUERY),     NAME(BPF_MAP_LOOKUP_AND_DELETE_ELEM),
                                 NAME(BPF_MAP_FREEZE),        NAME(BPF_BTF_GET_NEXT_ID),
                                 NAME(BPF_MAP_LOOKUP_BATCH),  NAME(BPF_MAP_LOOKUP_AND_DELETE_BATCH),
                                 NAME(BPF_MAP_UPDATE_BATCH),  NAME(BPF_MAP_DELETE_BATCH),
                                 NAME(BPF_LINK_CREATE),       NAME(BPF_LINK_UPDATE),
                                 NAME(BPF_LINK_GET_FD_BY_ID), NAME(BPF_LINK_GET_NEXT_ID),
                                 NAME(BPF_ENABLE_STATS),      NAME(BPF_ITER_CREATE),
                                 NAME(BPF_LINK_DETACH),       NAME(BPF_PROG_BIND_MAP)};
// glibc has the requests as an enumeration.
constexpr Name kPtraceRequests[] = {NAME(PTRACE_TRACEME),
                                    NAME(PTRACE_PEEKTEXT),
                                    NAME(PTRACE_PEEKDATA),
                                    NAME(PTRACE_PEEKUSER),
                                    NAME(PTRACE_POKETEXT),
                                    NAME(PTRACE_POKEDATA),
                                    NAME(PTRACE_POKEUSER),
                                    NAME(PTRACE_CONT),
                                    NAME(PTRACE_KILL),
                                    NAME(PTRACE_SINGLESTEP),
                                    {12, "PTRACE_GETREGS"},
                                    {13, "PTRACE_SETREGS"},
                                    {14, "PTRACE_GETFPREGS"},
                                    {15, "PTRACE_SETFPREGS"},
                                    NAME(PTRACE_ATTACH),
                                    NAME(PTRACE_DETACH),
                                    {18, "PTRACE_GETFPXREGS"},
                                    {19, "PTRACE_SETFPXREGS"},
                                    NAME(PTRACE_SYSCALL),
                                    {25, "PTRACE_GET_THREAD_AREA"},
                                    {26, "PTRACE_SET_THREAD_AREA"},
                                    {30, "PTRACE_ARCH_PRCTL"},
                                    NAME(PTRACE_SYSEMU),
                                    NAME(PTRACE_SYSEMU_SINGLESTEP),
                                    NAME(PTRACE_SETOPTIONS),
                                    NAME(PTRACE_GETEVENTMSG),
                                    NAME(PTRACE_GETSIGINFO),
                                    NAME(PTRACE_SETSIGINFO),
                                    NAME(PTRACE_GETREGSET),
                                    NAME(PTRACE_SETREGSET),
                                    NAME(PTRACE_SEIZE),
                                    NAME(PTRACE_INTERRUPT),
                                    NAME(PTRACE_LISTEN),
                                    NAME(PTRACE_PEEKSIGINFO),
                                    NAME(PTRACE_GETSIGMASK),
                                    NAME(PTRACE_SETSIGMASK),
                                    NAME(PTRACE_SECCOMP_GET_FILTER)};
constexpr Name kPrctlOptions[] = {NAME(PR_SET_PDEATHSIG),
                                  NAME(PR_GET_PDEATHSIG),
                                  NAME(PR_GET_DUMPABLE),
                                  NAME(PR_SET_DUMPABLE),
                                  NAME(PR_GET_KEEPCAPS),
                                  NAME(PR_SET_KEEPCAPS),
                                  NAME(PR_SET_NAME),
                                  NAME(PR_GET_NAME),
                                  NAME(PR_GET_SECCOMP),
                                  NAME(PR_SET_SECCOMP),
                                  NAME(PR_CAPBSET_READ),
                                  NAME(PR_CAPBSET_DROP),
                                  NAME(PR_GET_SECUREBITS),
                                  NAME(PR_SET_SECUREBITS),
                                  NAME(PR_SET_MM),
                                  NAME(PR_SET_CHILD_SUBREAPER),
                                  NAME(PR_GET_CHILD_SUBREAPER),
                                  NAME(PR_SET_NO_NEW_PRIVS),
                                  NAME(PR_GET_NO_NEW_PRIVS),
                                  NAME(PR_CAP_AMBIENT),
                                  {PR_SET_PTRACER, "PR_SET_PTRACER"}};
#undef NAME

}  // namespace

std::string show_result(const RuleEvent& event, unsigned) {
  return event.failed() ? error_name(event.result) : std::to_string(event.result);
}
std::string show_first(const RuleEvent& event, unsigned) {
  return event.given[0];
}
std::string show_second(const RuleEvent& event, unsigned) {
  return event.given[1];
}
std::string show_path(const RuleEvent& event, unsigned) {
  return event.path;
}

std::string show_open_flags(const RuleEvent& event, unsigned) {
  return open_flag_names(event.open_flags);
}
std::string show_open_mode(const RuleEvent& event, unsigned) {
  return formatted("0%o", event.open_mode);
}
std::string show_device(const RuleEvent& event, unsigned) {
  return std::to_string(event.device);
}
std::string show_inode(const RuleEvent& event, unsigned) {
  return std::to_string(event.inode);
}

std::string show_peer(const RuleEvent& event, unsigned) {
  if (!event.socket_path.empty()) return std::string(event.socket_path);
  return event.remote.family == 0 ? "" : endpoint(event.remote, event.remote_port);
}
std::string show_local(const RuleEvent& event, unsigned) {
  if (!event.socket_path.empty()) return std::string(event.socket_path);
  return event.local.family == 0 ? "" : endpoint(event.local, event.local_port);
}
std::string show_tuple(const RuleEvent& event, unsigned) {
  return event.socket_name();
}

std::string show_int(const RuleEvent& event, unsigned n) {
  return std::to_string(static_cast<std::int32_t>(low(event, n)));
}
std::string show_long(const RuleEvent& event, unsigned n) {
  return std::to_string(static_cast<std::int64_t>(event.arguments[n]));
}
std::string show_unsigned(const RuleEvent& event, unsigned n) {
  return std::to_string(event.arguments[n]);
}
std::string show_hexadecimal(const RuleEvent& event, unsigned n) {
  return formatted("%" PRIX64, event.arguments[n]);
}
std::string show_octal(const RuleEvent& event, unsigned n) {
  return formatted("0%o", low(event, n));
}

std::string show_user(const RuleEvent& event, unsigned n) {
  auto name = event.facts->user_name(low(event, n));
  return name ? std::move(*name) : show_int(event, n);
}
std::string show_group(const RuleEvent& event, unsigned n) {
  auto name = event.facts->group_name(low(event, n));
  return name ? std::move(*name) : show_int(event, n);
}
std::string show_signal(const RuleEvent& event, unsigned n) {
  const char* name = sigabbrev_np(static_cast<int>(low(event, n)));
  return name ? std::string("SIG") + name : show_int(event, n);
}
std::string show_domain(const RuleEvent& event, unsigned n) {
  return name_in(kDomains, low(event, n));
}
std::string show_bpf_command(const RuleEvent& event, unsigned n) {
  return name_in(kBpfCommands, low(event, n));
}
std::string show_ptrace_request(const RuleEvent& event, unsigned n) {
  return name_in(kPtraceRequests, event.arguments[n]);
}
std::string show_prctl_option(const RuleEvent& event, unsigned n) {
  return name_in(kPrctlOptions, low(event, n));
}

std::string show_permissions(const RuleEvent& event, unsigned n) {
  std::string names = flags_in(kPermissions, low(event, n) & 07777);
  if (!(low(event, n) & S_IFMT)) return names;
  std::string kind = name_in(kFileKinds, low(event, n) & S_IFMT);
  return names == "0" ? kind : names + "|" + kind;
}
std::string show_clone_flags(const RuleEvent& event, unsigned n) {
  return flags_in(kCloneFlags, event.arguments[n]);
}
std::string show_mount_flags(const RuleEvent& event, unsigned n) {
  return flags_in(kMountFlags, event.arguments[n]);
}
std::string show_at_flags(const RuleEvent& event, unsigned n) {
  return flags_in(kAtFlags, low(event, n));
}
std::string show_rename_flags(const RuleEvent& event, unsigned n) {
  return flags_in(kRenameFlags, low(event, n));
}
std::string show_descriptor_flags(const RuleEvent& event, unsigned n) {
  return flags_in(kDescriptorFlags, low(event, n));
}
std::string show_memfd_flags(const RuleEvent& event, unsigned n) {
  return flags_in(kMemfdFlags, low(event, n));
}
std::string show_protection(const RuleEvent& event, unsigned n) {
  return event.arguments[n] == 0 ? "PROT_NONE" : flags_in(kProtections, event.arguments[n]);
}

std::string show_permitted(const RuleEvent& event, unsigned) {
  return event.process ? capability_names(event.process->cap_permitted) : "";
}
std::string show_effective(const RuleEvent& event, unsigned) {
  return event.process ? capability_names(event.process->cap_effective) : "";
}

}  // namespace trivet::security
