// SPDX-License-Identifier: Apache-2.0
// What Falco has and trivet has not built yet: rules that use it are named and skipped, while a
// name that is in neither table is a mistake. An entry leaves when it is built.
#include <algorithm>
#include <unordered_set>

#include "security/fields/field.h"

namespace trivet::security {
namespace {

constexpr std::string_view kFields = R"(
    evt.abspath evt.abspath.dst evt.abspath.src evt.around evt.asynctype evt.buffer evt.buflen
    evt.buflen.file evt.buflen.file.in evt.buflen.file.out evt.buflen.in evt.buflen.net
    evt.buflen.net.in evt.buflen.net.out evt.buflen.out evt.count.error evt.count.error.file
    evt.count.error.memory evt.count.error.net evt.count.error.other evt.count.exit
    evt.count.procinfo evt.count.threadinfo evt.deltatime evt.deltatime.ns evt.deltatime.s
    evt.io_dir evt.is_async evt.is_io evt.is_io_read evt.is_io_write evt.is_open_create
    evt.is_syslog evt.is_wait evt.latency evt.latency.human evt.latency.ns evt.latency.s
    evt.outputtime evt.pluginname evt.plugininfo evt.rawarg evt.reltime evt.reltime.ns
    evt.reltime.s evt.time.s evt.datetime.s evt.type.is evt.wait_latency
    fd.containerdirectory fd.containername fd.cproto fd.dev.major fd.dev.minor fd.ino.ctime
    fd.is_upper_layer fd.lproto fd.proto fd.rproto fd.sproto
    fd.types fd.uid fd.is_lower_layer fdlist.cips fdlist.cports fdlist.names fdlist.nums
    fdlist.sips fdlist.sports proc.aenv proc.cgroup proc.cgroups proc.childs
    proc.exe_ino.ctime_duration_pidns_start proc.fdlimit proc.fdopencount proc.fdusage
    proc.is_container_healthcheck proc.is_container_liveness_probe
    proc.is_container_readiness_probe proc.is_exe_lower_layer proc.is_pgid_leader
    proc.is_vpgid_leader proc.loginshellid proc.nchilds proc.nthreads proc.pgid proc.pgid.exe
    proc.pgid.exepath proc.pgid.name proc.pcmdlenargs proc.pexeline proc.pid.ns_init_ts
    proc.pidns_init_start_ts proc.ppid.ts proc.pvpid proc.stdin.name proc.stdin.type
    proc.stdout.name proc.stdout.type proc.stderr.name proc.stderr.type proc.thread.count
    proc.vmrss proc.vmsize proc.vmswap proc.vpgid proc.vpgid.exe proc.vpgid.exepath
    proc.vpgid.name syscall.type thread.cap_inheritable thread.cgroup thread.cgroups thread.cpu
    thread.cpu.system thread.cpu.user thread.exectime thread.nametid thread.pfmajor thread.pfminor
    thread.totexectime thread.vnametid thread.vmrss thread.vmsize thread.vtid user.homedir
    user.shell container.cni.json container.healthcheck container.host_ipc container.host_network
    container.host_pid container.liveness_probe container.readiness_probe k8s.pod.cni.json
    k8s.pod.full_sandbox_id k8s.pod.sandbox_id k8s.rc.id k8s.rc.name k8s.rc.label k8s.rc.labels
    k8s.rs.id k8s.rs.name k8s.rs.label k8s.rs.labels k8s.svc.id k8s.svc.name k8s.svc.label
    k8s.svc.labels k8s.deployment.id k8s.deployment.name k8s.deployment.label
    k8s.deployment.labels k8s.ns.id k8s.ns.label k8s.ns.labels
)";

// System calls, and the few events of Falco that are none.
constexpr std::string_view kEventNames = R"(
    access acct add_key brk chdir close close_range container copy_file_range drop epoll_create
    epoll_create1 epoll_wait eventfd eventfd2 exit exit_group faccessat faccessat2 fallocate
    fchdir fcntl flock fsconfig fsmount fspick fsopen fstat fstatat64 futex getcwd getdents
    getdents64 getegid geteuid getgid getpeername getpid getppid getrandom getresgid getresuid
    getrlimit getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch
    inotify_init inotify_init1 io_uring_enter io_uring_register ioctl kcmp keyctl llseek lseek
    lsetxattr lstat madvise mlock mlock2 mlockall mmap mmap2 mremap msync munlock munlockall
    munmap name_to_handle_at nanosleep newfstatat notification open_tree personality pidfd_getfd
    pidfd_open pidfd_send_signal pipe pipe2 pluginevent poll ppoll pread pread64 preadv prlimit
    prlimit64 procexit procinfo pwrite pwrite64 pwritev quotactl read readlink readlinkat readv
    reboot recv recvfrom recvmmsg recvmsg removexattr request_key rt_sigaction sched_setaffinity
    scapevent seccomp select semctl semget semop send sendfile sendmmsg setdomainname setgroups
    sethostname setpgid setrlimit setsid setsockopt settimeofday setxattr shmat shmctl shmdt
    shmget shutdown signaldeliver signalfd signalfd4 socketpair splice stat statfs statx swapoff
    swapon switch sync sync_file_range syslog tee timerfd_create umask uselib ustat utime
    utimensat utimes vmsplice wait4 waitid write writev
)";

// The words of a table, as a set.
std::unordered_set<std::string_view> words(std::string_view table) {
  std::unordered_set<std::string_view> out;
  std::size_t at = 0;
  while ((at = table.find_first_not_of(" \n", at)) != table.npos) {
    auto end = table.find_first_of(" \n", at);
    out.insert(table.substr(at, end - at));
    at = end;
  }
  return out;
}

const std::unordered_set<std::string_view>& event_names() {
  static const auto names = words(kEventNames);
  return names;
}

}  // namespace

bool is_unbuilt_field(std::string_view name) {
  static const auto names = words(kFields);
  return names.contains(name);
}

// The kernel tells an execveat as the exec that it is: Falco's two names mean the same here.
bool is_built_event_type(std::string_view name) {
  return name == "execveat" || std::ranges::find(kEventTypes, name) != kEventTypes.end();
}

bool is_event_type(std::string_view name) {
  return is_built_event_type(name) || event_names().contains(name);
}

std::vector<std::string> event_type_names() {
  std::vector<std::string> names(kEventTypes.begin(), kEventTypes.end());
  names.emplace_back("execveat");
  names.insert(names.end(), event_names().begin(), event_names().end());
  return names;
}

}  // namespace trivet::security
