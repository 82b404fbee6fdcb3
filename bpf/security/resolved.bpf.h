/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel found of the paths of calls that open nothing: noted by the hook "paths", and
 * taken when the call returns.
 */
#ifndef TRIVET_SECURITY_RESOLVED_BPF_H
#define TRIVET_SECURITY_RESOLVED_BPF_H

#include "path.bpf.h"
#include "security/syscalls.h"

/*
 * Shared by the objects "paths" and "syscalls". Of a task, as fentry programs can be preempted:
 * nothing for each CPU would be theirs alone.
 */
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
} lane_paths SEC(".maps");

/* Whether the kernel may have noted where its paths lead. */
static __always_inline bool shape__has_paths(__u32 shape)
{
	return !(shape & CALL_OPENS) &&
	       (CALL_INDEX(shape, CALL_SECOND_PATH(0)) ||
		(CALL_INDEX(shape, CALL_PATH(0)) && !(shape & CALL_FIRST_IS_TEXT)));
}

#endif /* TRIVET_SECURITY_RESOLVED_BPF_H */
