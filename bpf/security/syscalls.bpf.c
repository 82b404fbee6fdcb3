// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * System calls, told once, as they return: a file or socket is then taken from the kernel's own
 * tables, whatever the caller wrote or rewrites in its memory. Only the exit is hooked: the
 * arguments are still in the saved registers, so there is nothing to stash, and nothing to miss.
 *
 * Two tiers. One tracepoint for each call, all served by one program, costs every other system call
 * about 70 ns and misses 32-bit calls, which have no such tracepoint, and which any 64-bit program
 * can make too: int $0x80. The hook "compat" adds those. The raw sys_exit costs more than twice as
 * much, and sees all.
 */
#include "lanes.bpf.h"
#include "security/numbers.bpf.h"
#include "security/opened.bpf.h"
#include "security/resolved.bpf.h"
#include "security/socket.bpf.h"
#include "task_changes.bpf.h"
#include "security/wanted.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The argument that a field of the shape names; `none` where it names none. */
static __always_inline __u64 event__argument(struct syscall_event *event, __u32 field, __u64 none)
{
	__u32 index = field - 1;

	asm volatile("" : "+r"(index));
	return index < CALL_ARGUMENTS ? event->arguments[index] : none;
}
#define event__shaped(event, shape, what, none)                                                    \
	event__argument(event, CALL_INDEX(shape, what), none)

/* The address of what is sent or connected to, and its size; 0 where the caller gave none. */
static __always_inline __u64 event__address(struct syscall_event *event, __u32 shape, bool compat,
					    __u64 *size)
{
	__u64 address = 0;

	*size = 0;
	if (shape & CALL_MESSAGE) {
		struct {
			__u64 name;
			__u32 size;
		} message = {};
		struct {
			__u32 name;
			__u32 size;
		} compat_message = {};

		if (compat) {
			bpf_probe_read_user(&compat_message, sizeof(compat_message),
					    (const void *)event->arguments[1]);
			message.name = compat_message.name;
			message.size = compat_message.size;
		} else {
			bpf_probe_read_user(&message, 12, (const void *)event->arguments[1]);
		}
		*size = message.size;
		return message.name;
	}
	address = event__shaped(event, shape, CALL_ADDRESS(0), 0);
	if (address)
		*size = (__u32)event__argument(event, CALL_INDEX(shape, CALL_ADDRESS(0)) + 1, 0);
	return address;
}

static __always_inline void event__read_open(struct syscall_event *event, __u32 shape)
{
	if (shape & CALL_OPEN_HOW) {
		struct open_how how = {};

		bpf_probe_read_user(&how, sizeof(how), (const void *)event->arguments[2]);
		event->open_flags = how.flags;
		event->open_mode = how.mode;
	} else if (CALL_INDEX(shape, CALL_FLAGS(0))) {
		event->open_flags = event__shaped(event, shape, CALL_FLAGS(0), 0);
		/* A call without a path makes no file. */
		if (CALL_INDEX(shape, CALL_PATH(0)))
			event->open_mode =
				event__argument(event, CALL_INDEX(shape, CALL_FLAGS(0)) + 1, 0);
	} else {
		event->open_flags = O_WRONLY | O_CREAT | O_TRUNC;
		event->open_mode = event->arguments[1];
	}
	if (!(event->open_flags & O_CREAT))
		event->open_mode = 0;
}

/* What the descriptor refers to, if it does. */
static __always_inline struct file *event__read_file(struct syscall_event *event, __u32 shape)
{
	struct file *file;

	event->descriptor = -1;
	if (!(shape & CALL_RETURNS_DESCRIPTOR))
		event->descriptor = event__shaped(event, shape, CALL_DESCRIPTOR(0), -1);
	else if (event->result >= 0)
		event->descriptor = event->result;
	file = file_of(event->descriptor);
	if (file)
		event__set_file(event, shape, file);
	/* Another thread has closed it by now, or put another in its place: there is what the
	 * caller wrote. */
	if ((shape & CALL_OPENS) && event->result >= 0 && (!file || file__is_shared(file)))
		event->flags |= CALL_FILE_UNKNOWN;
	return file;
}

static __noinline __u32 tail__add_argument(char *tail, __u32 used, __u64 argument)
{
	long size = bpf_probe_read_user_str(tail + tail__bound(used), CALL_PATH_MAX,
					    (const void *)argument);

	return size > 0 ? size - 1 : 0;
}

/* Whether the task's root is not the one that its mounts begin with: chroot(2). */
static __noinline bool task__has_root_elsewhere(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct dentry *dentry = BPF_CORE_READ(task, fs, root.dentry);
	struct vfsmount *vfsmount = BPF_CORE_READ(task, fs, root.mnt);
	struct mount *mount = container_of(vfsmount, struct mount, mnt);
	struct mount *above = BPF_CORE_READ(mount, mnt_parent);

	if (dentry != BPF_CORE_READ(vfsmount, mnt_root))
		return true;
	/* The first mount of all, or one that lies upon its root. */
	return above != mount &&
	       (BPF_CORE_READ(mount, mnt_mountpoint) != BPF_CORE_READ(above, mnt.mnt_root) ||
		BPF_CORE_READ(above, mnt_parent) != above);
}

/* The two paths as given, and the folders that they start from; bytes in the tail. */
__noinline __u32 event__add_paths(struct call_scratch *scratch, __u32 shape, __u32 used)
{
	__u32 first = used, second;
	struct syscall_event *event;
	char *tail;

	if (!scratch)
		return used;
	event = &scratch->event;
	tail = scratch->tail;
	if (CALL_INDEX(shape, CALL_PATH(0)))
		event->text_size[0] = tail__add_argument(
			tail, used, event__shaped(event, shape, CALL_PATH(0), 0));
	used += event->text_size[0];
	second = used;
	if (CALL_INDEX(shape, CALL_SECOND_PATH(0)))
		event->text_size[1] = tail__add_argument(
			tail, used, event__shaped(event, shape, CALL_SECOND_PATH(0), 0));
	used += event->text_size[1];
	if (event->text_size[0] && !(shape & CALL_FIRST_IS_TEXT))
		event->base_size[0] =
			tail__add_base(scratch, tail, used, tail[tail__bound(first)],
				       event__shaped(event, shape, CALL_PATH_AT(0, -1), AT_FDCWD));
	used += event->base_size[0];
	if (!(shape & CALL_OPENS) && (event->text_size[0] || event->text_size[1]) &&
	    task__has_root_elsewhere())
		event->flags |= CALL_ROOT_ELSEWHERE;
	if (event->text_size[1])
		event->base_size[1] = tail__add_base(
			scratch, tail, used, tail[tail__bound(second)],
			event__shaped(event, shape, CALL_SECOND_PATH_AT(0, -1), AT_FDCWD));
	return used + event->base_size[1];
}

/* What was noted of a call that is not told is not that of a later one. */
static __noinline void resolved__forget(void)
{
	struct resolved_paths *paths =
		bpf_task_storage_get(&lane_paths, bpf_get_current_task_btf(), NULL, 0);

	if (paths)
		paths->size[0] = paths->size[1] = 0;
}

/* Moves what was noted of the call that returns to its event; bytes taken of the tail then. */
__noinline __u32 event__add_resolved(struct call_scratch *scratch, __u64 number, __u32 used)
{
	struct syscall_event *event;
	struct resolved_paths *paths =
		bpf_task_storage_get(&lane_paths, bpf_get_current_task_btf(), NULL, 0);

	if (!scratch || !paths || paths->number != number)
		return used;
	event = &scratch->event;
#pragma unroll
	for (int i = 0; i < 2; i++) {
		__u64 size = paths->size[i];

		paths->size[i] = 0;
		barrier_var(size);
		if (size == 0 || size > PATH_TEXT_MAX)
			continue;
		bpf_probe_read_kernel(scratch->tail + tail__bound(used), size, paths->text[i].data);
		used += size;
		if (i == 0)
			event->resolved_size = size;
	}
	if (event->resolved_size) {
		event->inode = paths->inode;
		event->device = paths->device;
	}
	return used;
}

static __always_inline int call__filtered(__u32 shape)
{
	if (shape__has_paths(shape))
		resolved__forget();
	lane__count(LANE_CANDIDATE, syscall_event_id, offered);
	lane__count(LANE_CANDIDATE, syscall_event_id, filtered);
	return 0;
}

/* `told` is the call's place in the plugin's table and 1. */
static __noinline int call__returned(__u32 told, bool compat, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct call_scratch *scratch = call_scratch();
	__u32 wanted = call__wanted(told - 1), shape, used = 0;
	__u64 call = told - 1;
	struct syscall_event *event;
	__u64 address, address_size;
	struct sock *sk = NULL;
	struct file *file;

	if (!scratch || !wanted || process__is_own(config.own_tgids))
		return 0;
	/* Short-lived and 64 bits wide: older verifiers lose the bound of what was put by before it
	 * was tested, or is tested in half a register.
	 */
	barrier_var(call);
	if (call >= CALLS_MAX)
		return 0;
	shape = calls.shapes[call];
	event = &scratch->event;
	__builtin_memset(event, 0, sizeof(*event));
	event->result = result;
	event->call = told - 1;
#ifdef __TARGET_ARCH_x86
	if (compat)
		arguments__read_compat(event->arguments, regs);
	else
#endif
		arguments__read(event->arguments, regs);

	if (shape & CALL_OPENS)
		event__read_open(event, shape);
	file = event__read_file(event, shape);
	address = event__address(event, shape, compat, &address_size);
	if (!(wanted >> event__profile(event, shape, address) & 1))
		return call__filtered(shape);

	if ((shape & CALL_SENDS) && address)
		event->flags |= CALL_PEER_FROM_CALLER;
	if (file && (event->file_mode & S_IFMT) == S_IFSOCK) {
		struct socket *socket = BPF_CORE_READ(file, private_data);

		sk = BPF_CORE_READ(socket, sk);
		used = sizeof(struct call_socket);
		event->flags |= CALL_HAS_SOCKET;
	}
	used = event__add_paths(scratch, shape, used);
	if (sk) {
		event->path_size = socket__read(scratch, used, sk);
		if (address && !(event->flags & CALL_SOCKET_CONNECTED))
			event->flags |= CALL_PEER_FROM_CALLER;
		if (event->flags & CALL_PEER_FROM_CALLER)
			event->path_size =
				socket__read_caller(scratch, used, address, address_size);
		/* 0 until something asked the kernel for the cookie. */
		event->header.socket_cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
		used += event->path_size;
	} else if (file) {
		used = event__add_file(scratch, used, (__u64)file);
	}

	if (shape__has_paths(shape))
		used = event__add_resolved(scratch, call__number(regs), used);

	/* What succeeded changed it, and is told with the next event. */
	if (!(shape & CALL_JUDGED_AS_BEFORE) || result < 0)
		task__tell_changes();
	header__set_current(&event->header);
	event_send(LANE_CANDIDATE, syscall_event, event, sizeof(*event) + used,
		   sizeof(*event) + TAIL_MAX);
	return 0;
}

/* Tier "tracepoint": attached to the exit of each call that is wanted. */
SEC("tracepoint/syscalls/sys_exit_*")
int call_exit(struct trace_event_raw_sys_exit *context)
{
	/* The kernel fills in half of it. */
	__u32 number = context->id;

	return number < CALL_NUMBERS ? call__returned(calls.native[number], false, context->ret)
				     : 0;
}

/* Tier "tp_btf": the exit of every call, told apart by number. 32-bit calls are left to "compat".
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(raw_exit, struct pt_regs *regs, long result)
{
	bool compat = task__in_compat_call();
	__u32 told;

	if (compat && config.compat_hook)
		return 0;
	told = compat ? compat__call(regs) : native__call(regs);
	return told ? call__returned(told, compat, compat ? (__s32)result : result) : 0;
}

#ifdef __TARGET_ARCH_x86
/*
 * Hook "compat": 32-bit calls of whatever program. The kernel has no tracepoint of its own for
 * them; what all other calls pay is this program's first line.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(compat_exit, struct pt_regs *regs, long result)
{
	__u32 told;

	if (!task__in_compat_call())
		return 0;
	told = compat__call(regs);
	return told ? call__returned(told, true, (__s32)result) : 0;
}
#endif
