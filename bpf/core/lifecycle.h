/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes as the kernel starts, changes and ends them: what host facts are built from. */
#ifndef TRIVET_LIFECYCLE_H
#define TRIVET_LIFECYCLE_H

#include "event.h"

/* argv is cut at this, as Falco's is: one page. */
#define PROCESS_ARGS_MAX 4096
/* A path that the kernel can return at all (PATH_MAX), exe and cwd each. */
#define PROCESS_PATH_MAX 4096
/* Path of a cgroup below the cgroup2 root; systemd's deepest container scopes stay below 400. */
#define PROCESS_CGROUP_MAX 1024
#define PROCESS_COMM_MAX   16

enum process_flags {
	PROCESS_SNAPSHOT = 1 << 0, /* was running before the hooks: told by the back-fill */
	PROCESS_ARGS_TRUNCATED = 1 << 1,
	PROCESS_EXE_UPPER_LAYER = 1 << 2, /* from the upper layer of an overlay file system */
	PROCESS_EXE_MEMFD = 1 << 3,
	PROCESS_EXE_WRITABLE = 1 << 4, /* by its mode, to who runs it */
	PROCESS_HOST_PID_NS = 1 << 5,  /* in the initial pid namespace */
	PROCESS_COARSE = 1 << 6,       /* its start is known to the tick: in captures only */
};

/* A new thread group. The child inherits the rest from its parent; header.task is the child. */
struct process_fork_event {
	struct event_header header;
	struct task_key parent;
	__u32 vpid; /* in its own pid namespace */
	__u32 flags;
};
TRIVET_EVENT(process_fork_event, 1, 72 + 24, 1);

/*
 * A process image: an exec that succeeded, or a process that was there before the hooks. The tail
 * holds, each without a terminating NUL and one after the other: exe, cwd, args (NUL between
 * arguments), cgroup.
 */
struct process_exec_event {
	struct event_header header;
	struct task_key parent;
	__u64 cap_effective;
	__u64 cap_permitted;
	__u64 exe_inode;
	__u64 exe_ctime_ns; /* CLOCK_REALTIME */
	__u64 exe_mtime_ns; /* CLOCK_REALTIME */
	__u32 uid;	    /* real */
	__u32 euid;
	__u32 gid; /* real */
	__u32 egid;
	__u32 login_uid; /* 0xffffffff: unset */
	__u32 vpid;
	__u32 pgid;
	__u32 sid;
	__u32 tty; /* device number as in /proc/PID/stat; 0: none */
	__u32 pid_namespace;
	__u32 net_namespace;
	__u32 mount_namespace;
	__u32 flags; /* enum process_flags */
	__u16 exe_size;
	__u16 cwd_size;
	__u16 args_size;
	__u16 cgroup_size;
	char comm[PROCESS_COMM_MAX];
	__u32 reserved;
};
TRIVET_EVENT(process_exec_event, 2, 208, 1);

/* The last thread of a process has gone. */
struct process_exit_event {
	struct event_header header;
	__s32 exit_code; /* as wait(2) has it: status << 8, or the signal */
	__u32 reserved;
};
TRIVET_EVENT(process_exit_event, 3, 80, 1);

/*
 * What a process has changed about itself since its last exec, told before the next event that it
 * causes. The tail holds the folder, without a terminating NUL.
 */
struct process_change_event {
	struct event_header header;
	__u64 cap_effective;
	__u64 cap_permitted;
	__u32 uid; /* real */
	__u32 euid;
	__u32 gid; /* real */
	__u32 egid;
	char comm[PROCESS_COMM_MAX];
	__u16 cwd_size;
	__u16 reserved[3];
};
TRIVET_EVENT(process_change_event, 4, 128, 1);

#endif /* TRIVET_LIFECYCLE_H */
