// SPDX-License-Identifier: Apache-2.0
#include "broker/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <utility>

namespace trivet::broker {

namespace {

// What the broker's requests need of root, beside owning root's files.
constexpr BrokerCapability kept_capabilities[] = {
    {CAP_BPF, "CAP_BPF", true, "programs, maps, links, iterators"},
    {CAP_PERFMON, "CAP_PERFMON", true, "programs that read the kernel's memory, tracepoints"},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN", true, "programs that see packets"},
    // By its id, which asks for this.
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", true, "a map opened again, read-only, for the main process"},
    {CAP_KILL, "CAP_KILL", true, "a signal to the main process, which is another user"},
    {CAP_SETUID, "CAP_SETUID", true, "a main process of another user"},
    {CAP_SETGID, "CAP_SETGID", true, "and of another group"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", false, "environments and executables of other users"},
    {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", false, "what container runtimes keep in files"},
    {CAP_SETPCAP, "CAP_SETPCAP", false, "a main process with no capability in reach"},
};

// Lets go of root's terminal: whoever shares its session could read what root types, and type.
Result<void> leave_terminal() {
  const std::string what = "cannot leave the terminal";
  // Fails where the process leads a session already, which then is its own.
  if (::setsid() < 0 && errno != EPERM) return system_error(errno, what);
  UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null || ::dup2(null.get(), STDIN_FILENO) < 0) return system_error(errno, what);
  for (int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (::isatty(fd) == 0) continue;
    std::string path = "/proc/self/fd/" + std::to_string(fd);
    UniqueFd writer(::open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC));
    // One that cannot be opened, as of another mount namespace, is worse to keep than to lose.
    if (!writer) writer.reset(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!writer || ::dup2(writer.get(), fd) < 0) return system_error(errno, what);
  }
  return {};
}

}  // namespace

std::span<const BrokerCapability> broker_capabilities() {
  return kept_capabilities;
}

Result<void> fill_standard_descriptors() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number, which is this one.
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) {
      return system_error(errno, "cannot open /dev/null");
    }
  }
  return {};
}

UniqueFd closed_first(UniqueFd fd) {
  constexpr int high = 900;
  const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, high);
  return moved < 0 ? std::move(fd) : UniqueFd(moved);
}

Result<void> drop_privileges(uid_t uid, gid_t gid, pid_t parent, int keep) {
  const std::string what = "cannot give up root's rights";
  if (uid == 0 || gid == 0) return Error{what + ": daemon.user must not be root", EINVAL};
  if (auto left = leave_terminal(); !left) return left;
  // Ends at the first number that this kernel does not know. Without CAP_SETPCAP the set cannot be
  // emptied; no_new_privs then keeps it from mattering.
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
    if (::prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EPERM) {
      return system_error(errno, what);
    }
  }
  if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 ||
      ::setresuid(uid, uid, uid) != 0) {
    return system_error(errno, what);
  }
  // The change of user emptied all sets but the inheritable one.
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capset, &header, none) != 0 ||
      ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      // Set after the change of user, which would clear it.
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) {
    return system_error(errno, what);
  }
  if (::getppid() != parent) return Error{what + ": the broker is gone", ESRCH};
  if (::chdir("/") != 0) return system_error(errno, what);
  if (keep != 3 && ::dup3(keep, 3, O_CLOEXEC) < 0) return system_error(errno, what);
  if (::syscall(SYS_close_range, 4U, ~0U, 0U) != 0) return system_error(errno, what);
  return {};
}

Result<void> keep_broker_capabilities() {
  const std::string what = "cannot give up capabilities";
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (::syscall(SYS_capget, &header, sets) != 0) return system_error(errno, what);
  std::uint64_t keep = 0;
  for (const auto& capability : kept_capabilities) keep |= std::uint64_t{1} << capability.number;
  // As in drop_privileges(): not everybody may empty the bounding set.
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
    if ((keep >> capability & 1) == 0) (void)::prctl(PR_CAPBSET_DROP, capability);
  }
  for (unsigned word = 0; word < _LINUX_CAPABILITY_U32S_3; word++) {
    sets[word].permitted &= static_cast<std::uint32_t>(keep >> (32 * word));
    sets[word].effective = sets[word].permitted;
    sets[word].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets) != 0 ||
      ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return system_error(errno, what);
  }
  return {};
}

Result<void> reach_tracefs() {
  const char* tracing = "/sys/kernel/tracing";
  struct statfs status {};
  if (::statfs(tracing, &status) == 0 && status.f_type == TRACEFS_MAGIC) return {};
  if (::unshare(CLONE_NEWNS) != 0)
    return system_error(errno,
                        "tracefs is not mounted, and a namespace to mount it in cannot be had");
  // In a chroot the root may be no mount point; then it is enough that /sys is one.
  if (::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0 &&
      ::mount("", "/sys", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return system_error(errno,
                        "tracefs is not mounted, and a namespace to mount it in cannot be had");
  }
  if (::mount("tracefs", tracing, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return system_error(errno,
                        "cannot mount tracefs, so that tracepoints cannot be attached by name");
  }
  return {};
}

}  // namespace trivet::broker
