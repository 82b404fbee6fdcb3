// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Processes as they start, change and end, from the sched tracepoints: they fire once for each
 * fork, exec and exit and cost nothing to any other system call, and as BTF tracepoints they load
 * on every kernel that trivet supports. A task iterator tells the processes that were there before.
 */
#include "lanes.bpf.h"
#include "path.bpf.h"
#include "task_memory.bpf.h"
#include "core/lifecycle.h"

#define SIGNAL_GROUP_EXIT     0x00000004
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#define CAP_DAC_OVERRIDE      1
#define MODE_OWNER_WRITES     0200
#define MODE_GROUP_WRITES     0020
#define MODE_OTHERS_WRITE     0002
/* Further groups of a process that are looked at for the right to write. */
#define GROUPS_MAX 32
/* From 6.13 the kernel notes in the nanoseconds that somebody has read the time. */
#define CTIME_QUERIED (1U << 31)

/* A power of two above all four parts of the tail, and room for the largest after any offset. */
#define TAIL_SPAN 16384
TRIVET_STATIC_ASSERT(2 * PROCESS_PATH_MAX + PROCESS_ARGS_MAX + PROCESS_CGROUP_MAX < TAIL_SPAN,
		     "the tail outgrew its scratch memory");

struct process_scratch {
	struct process_exec_event event;
	char tail[TAIL_SPAN + PATH_TEXT_MAX];
	struct path_buffer path;
};

/* Any part fits after any other. The compiler would drop a mask that it can prove needless. */
static __always_inline char *tail__at(struct process_scratch *scratch, __u32 offset)
{
	asm volatile("" : "+r"(offset));
	return &scratch->tail[offset & (TAIL_SPAN - 1)];
}

/* Tracepoints run with preemption off and do not nest: one for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_scratch);
} exec_scratch SEC(".maps");

/*
 * The iterator sleeps and may go on on another CPU: one for whoever reads, and that is main, which
 * makes one pass at a time. Not in its task's storage: from 7.0 on that takes no more than 8 KiB.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_scratch);
} snapshot_scratch SEC(".maps");

/* Up to 6.13 the field had another name. */
struct kernfs_node___before_6_14 {
	struct kernfs_node *parent;
};

/* Times were renamed in 6.6 and 6.7, and split in two in 6.11. */
struct inode___before_6_6 {
	struct timespec64 i_mtime;
	struct timespec64 i_ctime;
};
struct inode___before_6_11 {
	struct timespec64 __i_mtime;
	struct timespec64 __i_ctime;
};

static __always_inline __u64 timespec__ns(struct timespec64 time)
{
	return (__u64)time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static __always_inline __u64 inode__mtime_ns(struct inode *inode)
{
	struct inode___before_6_6 *oldest = (void *)inode;
	struct inode___before_6_11 *older = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime_sec))
		return (__u64)BPF_CORE_READ(inode, i_mtime_sec) * 1000000000ULL +
		       BPF_CORE_READ(inode, i_mtime_nsec);
	if (bpf_core_field_exists(older->__i_mtime))
		return timespec__ns(BPF_CORE_READ(older, __i_mtime));
	return timespec__ns(BPF_CORE_READ(oldest, i_mtime));
}

static __always_inline __u64 inode__ctime_ns(struct inode *inode)
{
	struct inode___before_6_6 *oldest = (void *)inode;
	struct inode___before_6_11 *older = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime_sec))
		return (__u64)BPF_CORE_READ(inode, i_ctime_sec) * 1000000000ULL +
		       (BPF_CORE_READ(inode, i_ctime_nsec) & ~CTIME_QUERIED);
	if (bpf_core_field_exists(older->__i_ctime))
		return timespec__ns(BPF_CORE_READ(older, __i_ctime));
	return timespec__ns(BPF_CORE_READ(oldest, i_ctime));
}

static __always_inline struct kernfs_node *kernfs__parent(struct kernfs_node *node)
{
	struct kernfs_node___before_6_14 *older = (void *)node;

	if (bpf_core_field_exists(older->parent))
		return BPF_CORE_READ(older, parent);
	return BPF_CORE_READ(node, __parent);
}

struct cgroup_walk {
	struct path_walk text;
	struct kernfs_node *node;
};

static long cgroup__step(__u32 index, struct cgroup_walk *walk)
{
	struct kernfs_node *node = walk->node, *parent = kernfs__parent(node);
	/* The text ends where the slack begins: a name may wait there until its length is known. */
	char *name = &walk->text.buffer->data[PATH_TEXT_MAX];
	long size;

	if (!parent)
		return 1;
	size = bpf_probe_read_kernel_str(name, PATH_NAME_MAX, BPF_CORE_READ(node, name));
	if (size <= 1 || !path__prepend(&walk->text, name, size - 1))
		return 1;
	walk->node = parent;
	return 0;
}

/* Path below the cgroup2 root with a leading slash. */
static __always_inline __u32 cgroup__read_path(struct kernfs_node *node, struct path_buffer *buffer,
					       char *out)
{
	struct cgroup_walk walk = {.text = {.buffer = buffer, .start = PATH_TEXT_MAX}};
	__u32 length;

	walk.node = node;
	bpf_loop(PROCESS_CGROUP_MAX / 2, cgroup__step, &walk, 0);
	length = path__copy(&walk.text, out);
	return length > PROCESS_CGROUP_MAX ? PROCESS_CGROUP_MAX : length;
}

/* As /proc/PID/stat encodes a device number. */
static __always_inline __u32 task__tty(struct task_struct *task)
{
	struct tty_struct *tty = BPF_CORE_READ(task, signal, tty);
	__u32 major, minor;

	if (!tty)
		return 0;
	major = BPF_CORE_READ(tty, driver, major);
	minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffU) << 12);
}

/* The process id in the process's own pid namespace, which *level tells the depth of. */
static __always_inline __u32 task__vpid(struct task_struct *task, __u32 *level, __u32 *namespace)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	struct upid upid = {};

	*level = BPF_CORE_READ(pid, level);
	bpf_probe_read_kernel(&upid, sizeof(upid),
			      (void *)__builtin_preserve_access_index(&pid->numbers[0]) +
				      *level * sizeof(struct upid));
	*namespace = BPF_CORE_READ(upid.ns, ns.inum);
	return upid.nr;
}

/* Group and session as the initial pid namespace numbers them. */
static __always_inline __u32 task__group(struct task_struct *task, enum pid_type type)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct pid *pid = NULL;

	bpf_core_read(&pid, sizeof(pid), &signal->pids[type]);
	return BPF_CORE_READ(pid, numbers[0].nr);
}

/* struct ovl_inode holds the inode and, next to it, the dentry of the upper layer if there is one.
 */
static __always_inline bool inode__in_upper_layer(struct inode *inode)
{
	void *upper = NULL;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return false;
	bpf_probe_read_kernel(&upper, sizeof(upper),
			      (void *)inode + bpf_core_type_size(struct inode));
	return upper != NULL;
}

static __always_inline bool cred__in_group(const struct cred *cred, __u32 group)
{
	struct group_info *info = BPF_CORE_READ(cred, group_info);
	__u32 count = BPF_CORE_READ(info, ngroups);

	if (BPF_CORE_READ(cred, fsgid.val) == group)
		return true;
	for (__u32 i = 0; i < GROUPS_MAX && i < count; i++) {
		kgid_t one = {};

		bpf_core_read(&one, sizeof(one), &info->gid[i]);
		if (one.val == group)
			return true;
	}
	return false;
}

/* As generic_permission() decides, access lists aside. */
static __noinline bool inode__writable_by(struct inode *inode, const struct cred *cred)
{
	__u16 mode = BPF_CORE_READ(inode, i_mode);
	__u64 capabilities = 0;

	bpf_core_read(&capabilities, sizeof(capabilities), &cred->cap_effective);
	if (capabilities & (1ULL << CAP_DAC_OVERRIDE))
		return true;
	if (BPF_CORE_READ(inode, i_uid.val) == BPF_CORE_READ(cred, fsuid.val))
		return mode & MODE_OWNER_WRITES;
	if (cred__in_group(cred, BPF_CORE_READ(inode, i_gid.val)))
		return mode & MODE_GROUP_WRITES;
	return mode & MODE_OTHERS_WRITE;
}

static __always_inline void process__fill_credentials(struct process_exec_event *event,
						      struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);

	event->uid = BPF_CORE_READ(cred, uid.val);
	event->euid = BPF_CORE_READ(cred, euid.val);
	event->gid = BPF_CORE_READ(cred, gid.val);
	event->egid = BPF_CORE_READ(cred, egid.val);
	/* Two words up to 6.2, one since: the same eight bytes. */
	bpf_core_read(&event->cap_effective, sizeof(__u64), &cred->cap_effective);
	bpf_core_read(&event->cap_permitted, sizeof(__u64), &cred->cap_permitted);
	event->login_uid = ~0U;
	if (bpf_core_field_exists(task->loginuid))
		event->login_uid = BPF_CORE_READ(task, loginuid.val);
}

static __always_inline void process__fill_identity(struct process_exec_event *event,
						   struct task_struct *task)
{
	struct nsproxy *namespaces = BPF_CORE_READ(task, nsproxy);
	__u32 level;

	event->header.tid = BPF_CORE_READ(task, pid);
	task_key__read(&event->header.task, task);
	task_key__read(&event->parent, BPF_CORE_READ(task, real_parent));
	event->header.cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	event->header.socket_cookie = 0;
	event->header.cause_id = 0;
	event->vpid = task__vpid(task, &level, &event->pid_namespace);
	if (level == 0)
		event->flags |= PROCESS_HOST_PID_NS;
	event->pgid = task__group(task, PIDTYPE_PGID);
	event->sid = task__group(task, PIDTYPE_SID);
	event->tty = task__tty(task);
	event->net_namespace = BPF_CORE_READ(namespaces, net_ns, ns.inum);
	event->mount_namespace = BPF_CORE_READ(namespaces, mnt_ns, ns.inum);
	event->reserved = 0;
	__builtin_memset(event->comm, 0, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
}

/* The executable and the folder: the first two parts of the tail. Answers the tail's size. */
static __always_inline __u32 process__fill_files(struct process_scratch *scratch,
						 struct task_struct *task)
{
	struct process_exec_event *event = &scratch->event;
	struct file *exe = BPF_CORE_READ(task, mm, exe_file);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	static const char memfd[] = "memfd:";
	__u32 size = 0;

	event->exe_size = 0;
	event->cwd_size = 0;
	event->exe_inode = 0;
	event->exe_ctime_ns = 0;
	event->exe_mtime_ns = 0;
	if (exe) {
		struct inode *inode = BPF_CORE_READ(exe, f_inode);

		event->exe_inode = BPF_CORE_READ(inode, i_ino);
		event->exe_ctime_ns = inode__ctime_ns(inode);
		event->exe_mtime_ns = inode__mtime_ns(inode);
		if (inode__writable_by(inode, BPF_CORE_READ(task, cred)))
			event->flags |= PROCESS_EXE_WRITABLE;
		if (inode__in_upper_layer(inode))
			event->flags |= PROCESS_EXE_UPPER_LAYER;
		size = path__read(__builtin_preserve_access_index(&exe->f_path), &scratch->path,
				  scratch->tail);
		event->exe_size = size;
		if (size > sizeof(memfd) - 1 &&
		    bpf_strncmp(scratch->tail, sizeof(memfd) - 1, memfd) == 0)
			event->flags |= PROCESS_EXE_MEMFD;
	}
	if (fs) {
		__u32 length = path__read(__builtin_preserve_access_index(&fs->pwd), &scratch->path,
					  tail__at(scratch, size));

		event->cwd_size = length;
		size += length;
	}
	return size;
}

static __always_inline __u32 process__fill_cgroup(struct process_scratch *scratch,
						  struct task_struct *task, __u32 size)
{
	__u32 length = cgroup__read_path(BPF_CORE_READ(task, cgroups, dfl_cgrp, kn), &scratch->path,
					 tail__at(scratch, size));

	scratch->event.cgroup_size = length;
	return size + length;
}

/*
 * How many bytes of the argument area to read, at most PROCESS_ARGS_MAX; says in the flags where
 * that is not all.
 */
static __always_inline __u32 process__args_size(struct process_exec_event *event,
						struct task_struct *task, __u64 *start)
{
	__u64 end = BPF_CORE_READ(task, mm, arg_end);
	__u32 size;

	*start = BPF_CORE_READ(task, mm, arg_start);
	if (end <= *start)
		return 0;
	if (end - *start > PROCESS_ARGS_MAX)
		event->flags |= PROCESS_ARGS_TRUNCATED;
	size = end - *start > PROCESS_ARGS_MAX ? PROCESS_ARGS_MAX : end - *start;
	/* The verifier must see the bound in the register that is passed on. */
	asm volatile("" : "+r"(size));
	return size > PROCESS_ARGS_MAX ? PROCESS_ARGS_MAX : size;
}

/* Something that was to be told and is lost. */
static __always_inline void process__count_lost(void)
{
	lane__count(LANE_LIFECYCLE, process_exec_event_id, offered);
	lane__count(LANE_LIFECYCLE, process_exec_event_id, fault);
}

/*
 * The contract says no terminating NUL. A failed read leaves no arguments and says so; they count
 * as lost beside their event, which does arrive, so that the account still adds up.
 */
static __always_inline __u32 process__keep_args(struct process_exec_event *event, __u32 size,
						long err)
{
	if (err) {
		process__count_lost();
		event->flags |= PROCESS_ARGS_TRUNCATED;
		size = 0;
	} else if (size > 0 && !(event->flags & PROCESS_ARGS_TRUNCATED)) {
		size--;
	}
	event->args_size = size;
	return size;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	struct process_fork_event *event;
	__u32 namespace, level;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return 0; /* a thread */
	event = event_reserve(LANE_LIFECYCLE, process_fork_event);
	if (!event)
		return 0;
	event->header.tid = BPF_CORE_READ(child, pid);
	task_key__read(&event->header.task, child);
	event->header.cgroup_id = BPF_CORE_READ(child, cgroups, dfl_cgrp, kn, id);
	/* Not `parent`: with CLONE_PARENT the child is a sibling of the caller. */
	task_key__read(&event->parent, BPF_CORE_READ(child, real_parent));
	event->vpid = task__vpid(child, &level, &namespace);
	event->flags = level == 0 ? PROCESS_HOST_PID_NS : 0;
	event_submit(LANE_LIFECYCLE, event);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
	struct process_scratch *scratch;
	__u32 zero = 0, size, args;
	__u64 start;
	long err;

	scratch = bpf_map_lookup_elem(&exec_scratch, &zero);
	if (!scratch) {
		process__count_lost();
		return 0;
	}
	scratch->event.flags = 0;
	process__fill_identity(&scratch->event, task);
	process__fill_credentials(&scratch->event, task);
	/* Whoever executes is, or has just become, the leader of its group. */
	task_memory__set(task);
	size = process__fill_files(scratch, task);
	args = process__args_size(&scratch->event, task, &start);
	/* The kernel has just written these pages: they are there. */
	err = bpf_probe_read_user(tail__at(scratch, size), args, (void *)start);
	size += process__keep_args(&scratch->event, args, err);
	size = process__fill_cgroup(scratch, task, size);
	event_send(LANE_LIFECYCLE, process_exec_event, &scratch->event,
		   sizeof(struct process_exec_event) + size,
		   sizeof(struct process_exec_event) + TAIL_SPAN);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct process_exit_event *event;
	struct signal_struct *signal = BPF_CORE_READ(task, signal);

	/*
	 * Each thread leaves `live` before it comes here, so two that leave together may both find
	 * nobody left: a process may be told to have ended twice, never not at all.
	 */
	if (BPF_CORE_READ(signal, live.counter) != 0)
		return 0;
	event = event_reserve(LANE_LIFECYCLE, process_exit_event);
	if (!event)
		return 0;
	header__set_current(&event->header);
	event->exit_code = BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT
				   ? BPF_CORE_READ(signal, group_exit_code)
				   : BPF_CORE_READ(task, group_leader, exit_code);
	event->reserved = 0;
	event_submit(LANE_LIFECYCLE, event);
	return 0;
}

SEC("iter.s/task")
int process_snapshot(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct process_scratch *scratch;
	__u32 zero = 0, size, args;
	__u64 start;
	long err = 0;

	if (!task || task->pid != task->tgid)
		return 0;
	/* Nobody but its parent waits for it: it has ended, and that was told or will not be. */
	if (BPF_CORE_READ(task, signal, live.counter) == 0)
		return 0;
	scratch = bpf_map_lookup_elem(&snapshot_scratch, &zero);
	if (!scratch) {
		process__count_lost();
		return 0;
	}
	scratch->event.flags = PROCESS_SNAPSHOT;
	process__fill_identity(&scratch->event, task);
	process__fill_credentials(&scratch->event, task);
	size = process__fill_files(scratch, task);
	args = process__args_size(&scratch->event, task, &start);
	if (args > 0)
		err = bpf_copy_from_user_task(tail__at(scratch, size), args, (void *)start, task,
					      0);
	size += process__keep_args(&scratch->event, args, err);
	size = process__fill_cgroup(scratch, task, size);
	size += sizeof(struct process_exec_event);
	scratch->event.header.size = size;
	scratch->event.header.type = process_exec_event_id;
	scratch->event.header.version = process_exec_event_version;
	scratch->event.header.lane = LANE_LIFECYCLE;
	scratch->event.header.time_ns = bpf_ktime_get_boot_ns();
	scratch->event.header.sequence = 0;
	scratch->event.header.cpu = bpf_get_smp_processor_id();
	asm volatile("" : "+r"(size));
	if (size > sizeof(struct process_exec_event) + TAIL_SPAN) {
		process__count_lost();
		return 0;
	}
	/* One that does not fit the reader's buffer any more is shown again in the next. */
	bpf_seq_write(ctx->meta->seq, &scratch->event, size);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
