/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a process changes about itself without an exec: credentials, folder, name. The kernel has no
 * tracepoint for most of it, and hooks on the system calls that do it would tax every other call.
 * So it is looked at where it matters: before an event is told for a process, what its image is
 * known to be is compared with what it is, and a difference is told first. Costs one lookup an
 * event.
 */
#ifndef TRIVET_TASK_CHANGES_BPF_H
#define TRIVET_TASK_CHANGES_BPF_H

#include "path.bpf.h"
#include "task_memory.bpf.h"

struct change_scratch {
	struct process_change_event event;
	char cwd[PATH_TEXT_MAX + PATH_NAME_MAX];
	struct path_buffer path;
};

/* None of the programs that tell changes ever interrupts another on its CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct change_scratch);
} change_scratches SEC(".maps");

static __noinline int change__send(const struct task_memory *now)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct process_change_event *event;
	struct change_scratch *scratch;
	__u32 zero = 0, size = 0;

	scratch = bpf_map_lookup_elem(&change_scratches, &zero);
	if (!scratch || !now)
		return 0;
	event = &scratch->event;
	header__set_current(&event->header);
	event->header.socket_cookie = 0;
	event->header.cause_id = 0;
	event->cap_effective = now->cap_effective;
	event->cap_permitted = now->cap_permitted;
	event->uid = now->uid;
	event->euid = now->euid;
	event->gid = now->gid;
	event->egid = now->egid;
	__builtin_memcpy(event->comm, now->comm, sizeof(event->comm));
	if (fs)
		size = path__read(__builtin_preserve_access_index(&fs->pwd), &scratch->path,
				  scratch->cwd);
	event->cwd_size = size;
	event->reserved[0] = event->reserved[1] = event->reserved[2] = 0;
	event_send(LANE_LIFECYCLE, process_change_event, event, sizeof(*event) + size,
		   sizeof(*event) + PATH_TEXT_MAX);
	return 0;
}

/* Call before the event is reserved, so that the change is the earlier of the two. */
static __noinline int task__tell_changes(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *leader = task->group_leader;
	struct task_memory *memory, now = {};

	task_memory__read(&now, task);
	memory = bpf_task_storage_get(&lane_tasks, leader, NULL, 0);
	if (memory && task_memory__same(memory, &now))
		return 0;
	if (!memory)
		memory = bpf_task_storage_get(&lane_tasks, leader, NULL,
					      BPF_LOCAL_STORAGE_GET_F_CREATE);
	/* Without a memory it is told with each event: dear, but true. */
	if (memory)
		*memory = now;
	return change__send(&now);
}

#endif /* TRIVET_TASK_CHANGES_BPF_H */
