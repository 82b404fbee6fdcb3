/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the paths of calls that open nothing lead, as the kernel itself found them: noted where it
 * asks whether the call may go on, and taken when the call returns. fentry on the kernel's side of
 * the LSM hooks rather than LSM programs: it needs no boot argument, and is asked even where
 * another LSM says no.
 */
#ifndef TRIVET_SECURITY_RESOLVED_BPF_H
#define TRIVET_SECURITY_RESOLVED_BPF_H

#include "security/arguments.bpf.h"
#include "security/tail.bpf.h"

/* Of a task, as fentry programs can be preempted: nothing for each CPU would be theirs alone. */
struct resolved_paths {
	__u64 number; /* of the call */
	__u64 inode;  /* of what the first path leads to; 0: nothing yet, or unknown */
	__u32 device;
	__u32 size[2];
	struct path_text text[2];
	struct path_buffer buffer;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct resolved_paths);
} resolved SEC(".maps");

static __always_inline __u32 resolved__read(struct dentry *dentry, struct vfsmount *mount,
					    struct path_buffer *buffer, struct path_text *text)
{
	__u64 address = (__u64)dentry, number = 0;
	__u32 size;

	/* The verifier takes a number for a number only where it comes from memory. */
	bpf_probe_read_kernel(&number, sizeof(number), &address);
	size = path__write(number, (__u64)mount, buffer, text);
	return size > PATH_TEXT_MAX ? PATH_TEXT_MAX : size;
}

/* NULL where there is no memory. */
static __always_inline struct resolved_paths *resolved__begin(__u64 number)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct resolved_paths *paths =
		bpf_task_storage_get(&resolved, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (!paths)
		return NULL;
	paths->number = number;
	paths->inode = 0;
	paths->size[0] = paths->size[1] = 0;
	return paths;
}

static __always_inline int resolved__first(struct resolved_paths *paths, struct dentry *dentry,
					   struct vfsmount *mount)
{
	if (!paths)
		return 0;
	paths->size[0] = resolved__read(dentry, mount, &paths->buffer, &paths->text[0]);
	paths->inode = BPF_CORE_READ(dentry, d_inode, i_ino);
	paths->device = BPF_CORE_READ(dentry, d_sb, s_dev);
	return 0;
}

static __always_inline int resolved__second(struct resolved_paths *paths, struct dentry *dentry,
					    struct vfsmount *mount)
{
	if (!paths)
		return 0;
	paths->size[1] = resolved__read(dentry, mount, &paths->buffer, &paths->text[1]);
	return 0;
}

/* What was noted of a call that is not told is not that of a later one. */
static __noinline void resolved__forget(void)
{
	struct resolved_paths *paths =
		bpf_task_storage_get(&resolved, bpf_get_current_task_btf(), NULL, 0);

	if (paths)
		paths->size[0] = paths->size[1] = 0;
}

/* Moves what was noted of the call that returns to its event; bytes taken of the tail then. */
static __noinline __u32 event__add_resolved(struct call_scratch *scratch, __u64 number, __u32 used)
{
	struct syscall_event *event = &scratch->event;
	struct resolved_paths *paths =
		bpf_task_storage_get(&resolved, bpf_get_current_task_btf(), NULL, 0);

	if (!paths || paths->number != number)
		return used;
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

#endif /* TRIVET_SECURITY_RESOLVED_BPF_H */
