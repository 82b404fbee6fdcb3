// SPDX-License-Identifier: Apache-2.0
#include "broker/syscall_filter.h"

#include <linux/bpf.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>
#include <span>

namespace trivet::broker {
namespace {

// What both processes, their C library and any library they use may do without an argument looked
// at. None of these reaches another process or takes a right that the process does not have.
constexpr int free_calls[] = {
    // Memory
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mincore),
    SCMP_SYS(msync), SCMP_SYS(membarrier),
    // Files
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
    SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(preadv2), SCMP_SYS(pwritev2),
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(close), SCMP_SYS(close_range),
    SCMP_SYS(lseek), SCMP_SYS(stat), SCMP_SYS(fstat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
    SCMP_SYS(getcwd), SCMP_SYS(fcntl), SCMP_SYS(flock), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(sync_file_range),
    SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(umask), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(sendfile),
    SCMP_SYS(copy_file_range),
    // Waiting
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(pause),
    SCMP_SYS(restart_syscall),
    // Signals to itself
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack), SCMP_SYS(signalfd4),
    // Threads
    SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(rseq),
    SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(gettid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
    SCMP_SYS(arch_prctl),
    // Who and where
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getpgid), SCMP_SYS(getpgrp), SCMP_SYS(getsid),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid),
    SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(capget), SCMP_SYS(uname), SCMP_SYS(sysinfo),
    SCMP_SYS(getcpu), SCMP_SYS(getrlimit), SCMP_SYS(getrusage), SCMP_SYS(getpriority),
    SCMP_SYS(times), SCMP_SYS(time), SCMP_SYS(gettimeofday), SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres), SCMP_SYS(getrandom),
    // Sockets, once there
    SCMP_SYS(socketpair), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
    SCMP_SYS(connect), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt)};

// What main does with the maps it was lent, and what it asks the kernel about them.
constexpr int main_bpf_commands[] = {BPF_MAP_LOOKUP_ELEM,
                                     BPF_MAP_UPDATE_ELEM,
                                     BPF_MAP_DELETE_ELEM,
                                     BPF_MAP_GET_NEXT_KEY,
                                     BPF_MAP_LOOKUP_AND_DELETE_ELEM,
                                     BPF_MAP_LOOKUP_BATCH,
                                     BPF_MAP_LOOKUP_AND_DELETE_BATCH,
                                     BPF_MAP_UPDATE_BATCH,
                                     BPF_MAP_DELETE_BATCH,
                                     BPF_OBJ_GET_INFO_BY_FD};

constexpr unsigned long new_namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), &seccomp_release) {}

  void allow(std::span<const int> calls) {
    for (int call : calls) add(SCMP_ACT_ALLOW, call, {});
  }
  // Only where the argument is one of these.
  void allow(int call, unsigned argument, std::span<const int> values) {
    for (int value : values)
      add(SCMP_ACT_ALLOW, call, {{argument, SCMP_CMP_EQ, static_cast<scmp_datum_t>(value), 0}});
  }
  // Only where the bits of the argument that are in the mask equal the value.
  void allow_bits(int call, unsigned argument, unsigned long mask, unsigned long value) {
    add(SCMP_ACT_ALLOW, call, {{argument, SCMP_CMP_MASKED_EQ, mask, value}});
  }
  Result<void> load() {
    if (context_ && status_ == 0) status_ = seccomp_load(context_.get());
    if (context_ && status_ == 0) return {};
    return system_error(context_ ? -status_ : ENOMEM, "cannot filter system calls");
  }

 private:
  void add(std::uint32_t action, int call, std::initializer_list<scmp_arg_cmp> conditions) {
    if (!context_ || status_ != 0 || call < 0) return;
    status_ = seccomp_rule_add_array(context_.get(), action, call,
                                     static_cast<unsigned>(conditions.size()), conditions.begin());
  }

  std::unique_ptr<void, decltype(&seccomp_release)> context_;
  int status_ = 0;
};

// What both may do with an argument looked at.
void allow_common(Filter& filter) {
  filter.allow(free_calls);
  for (unsigned long protection : {0, PROT_WRITE, PROT_EXEC})
    filter.allow_bits(SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, protection);
  filter.allow_bits(SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
  constexpr int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
  filter.allow(SCMP_SYS(socket), 0, families);
  // Of the process itself.
  constexpr int itself[] = {0};
  filter.allow(SCMP_SYS(prlimit64), 0, itself);
}

}  // namespace

Result<void> filter_main() {
  Filter filter;
  allow_common(filter);
  filter.allow(SCMP_SYS(bpf), 0, main_bpf_commands);
  // Threads, and no process that would outlive it. Not clone3, whose flags a filter cannot see: C
  // libraries fall back to clone.
  filter.allow_bits(SCMP_SYS(clone), 0, new_namespaces | CLONE_THREAD, CLONE_THREAD);
  // Not what would let it live on without the broker, PR_SET_PDEATHSIG.
  constexpr int own_affairs[] = {PR_SET_NAME, PR_GET_NAME};
  filter.allow(SCMP_SYS(prctl), 0, own_affairs);
  const int own[] = {::getpid()};
  filter.allow(SCMP_SYS(tgkill), 0, own);
  constexpr int questions[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO};
  filter.allow(SCMP_SYS(ioctl), 1, questions);
  return filter.load();
}

Result<void> filter_broker() {
  constexpr int calls[] = {SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(ioctl),
                           SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(prctl), SCMP_SYS(chmod),
                           SCMP_SYS(fchmod), SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(chdir),
                           SCMP_SYS(fchdir), SCMP_SYS(fchownat),
                           // What makes another main of its child
                           SCMP_SYS(setsid), SCMP_SYS(setgroups), SCMP_SYS(setresgid),
                           SCMP_SYS(setresuid), SCMP_SYS(capset), SCMP_SYS(seccomp)};
  Filter filter;
  allow_common(filter);
  filter.allow(calls);
  filter.allow_bits(SCMP_SYS(clone), 0, new_namespaces, 0);
  return filter.load();
}

}  // namespace trivet::broker
