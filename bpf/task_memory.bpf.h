/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What user space was last told of a process, kept with the process. */
#ifndef TRIVET_TASK_MEMORY_BPF_H
#define TRIVET_TASK_MEMORY_BPF_H

#include "lanes.bpf.h"
#include "core/lifecycle.h"

/* Addresses stand for the folder: equal, or changed. */
struct task_memory {
	__u64 cap_effective;
	__u64 cap_permitted;
	__u64 folder;
	__u64 folder_mount;
	__u64 comm[PROCESS_COMM_MAX / sizeof(__u64)];
	__u32 uid;
	__u32 euid;
	__u32 gid;
	__u32 egid;
	__u32 exec_count;
	__u32 reserved;
};

/* Kept with the leader of the thread group. Shared by all objects: its name begins with lane_. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_memory);
} lane_tasks SEC(".maps");

/* The thread's credentials, since that is who acts; name and folder are the process's. */
static __always_inline void task_memory__read(struct task_memory *memory, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct fs_struct *fs = BPF_CORE_READ(task, fs);

	memory->uid = BPF_CORE_READ(cred, uid.val);
	memory->euid = BPF_CORE_READ(cred, euid.val);
	memory->gid = BPF_CORE_READ(cred, gid.val);
	memory->egid = BPF_CORE_READ(cred, egid.val);
	/* Two words up to 6.2, one since: the same eight bytes. */
	bpf_core_read(&memory->cap_effective, sizeof(__u64), &cred->cap_effective);
	bpf_core_read(&memory->cap_permitted, sizeof(__u64), &cred->cap_permitted);
	memory->folder = (__u64)BPF_CORE_READ(fs, pwd.dentry);
	memory->folder_mount = (__u64)BPF_CORE_READ(fs, pwd.mnt);
	memory->exec_count = BPF_CORE_READ(task, self_exec_id);
	memory->reserved = 0;
	bpf_core_read(&memory->comm, sizeof(memory->comm), &leader->comm);
}

static __always_inline bool task_memory__same(const struct task_memory *a,
					      const struct task_memory *b)
{
	return a->cap_effective == b->cap_effective && a->cap_permitted == b->cap_permitted &&
	       a->folder == b->folder && a->folder_mount == b->folder_mount &&
	       a->comm[0] == b->comm[0] && a->comm[1] == b->comm[1] && a->uid == b->uid &&
	       a->euid == b->euid && a->gid == b->gid && a->egid == b->egid &&
	       a->exec_count == b->exec_count;
}

/* An exec tells everything: what comes after is compared with it. `leader` as the verifier knows
 * it.
 */
static __always_inline void task_memory__set(struct task_struct *leader)
{
	struct task_memory *memory =
		bpf_task_storage_get(&lane_tasks, leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (memory)
		task_memory__read(memory, leader);
}

#endif /* TRIVET_TASK_MEMORY_BPF_H */
