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

namespace trivet::broker {

Result<void> drop_privileges(uid_t uid, gid_t gid, pid_t parent, int keep) {
  const std::string what = "cannot give up root's rights";
  if (uid == 0 || gid == 0) return Error{what + ": daemon.user must not be root", EINVAL};
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

Result<void> enter_mount_namespace() {
  const char* tracing = "/sys/kernel/tracing";
  struct statfs status {};
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return system_error(errno, "cannot enter a mount namespace");
  }
  if (::statfs(tracing, &status) == 0 && status.f_type == TRACEFS_MAGIC) return {};
  if (::mount("tracefs", tracing, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return system_error(errno,
                        "cannot mount tracefs, so that tracepoints cannot be attached by name");
  }
  return {};
}

}  // namespace trivet::broker
