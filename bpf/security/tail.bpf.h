/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An event under construction and its tail of paths: as the caller gave them, and as the kernel's
 * own tables have them.
 */
#ifndef TRIVET_SECURITY_TAIL_BPF_H
#define TRIVET_SECURITY_TAIL_BPF_H

#include "path.bpf.h"
#include "security/syscalls.h"

#define AT_FDCWD -100

/* Room for a socket and for the six paths of an event, each at most CALL_PATH_MAX long. */
#define TAIL_MAX (sizeof(struct call_socket) + 6 * CALL_PATH_MAX)

/* An event under construction. None of these programs ever interrupts another on its CPU. */
struct call_scratch {
	struct syscall_event event;
	union {
		struct call_socket socket;
		char tail[TAIL_MAX];
	};
	struct path_buffer path;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct call_scratch);
} call_scratches SEC(".maps");

static __always_inline struct call_scratch *call_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&call_scratches, &zero);
}

/* Where the next path of a tail goes: at most five are before it. */
static __always_inline __u32 tail__bound(__u32 used)
{
	asm volatile("" : "+r"(used));
	return used > TAIL_MAX - CALL_PATH_MAX ? TAIL_MAX - CALL_PATH_MAX : used;
}

/* Each tail__add_* appends to a tail of which `used` bytes are taken, and answers the bytes added.
 */
static __noinline __u32 tail__add_path(struct call_scratch *scratch, char *tail, __u32 used,
				       struct path *path)
{
	return path__read(path, &scratch->path, tail + tail__bound(used));
}

/* Of a mount that shows a part of its file system: where that part is. */
static __noinline __u32 tail__add_origin(struct call_scratch *scratch, char *tail, __u32 used,
					 struct path *path)
{
	struct vfsmount *mount = BPF_CORE_READ(path, mnt);
	struct dentry *root = BPF_CORE_READ(mount, mnt_root);

	if (!root || root == BPF_CORE_READ(root, d_sb, s_root))
		return 0;
	return path__read_inner(root, &scratch->path, tail + tail__bound(used));
}

static __always_inline struct file *file_of(__s32 descriptor)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;

	if (descriptor < 0 || (__u32)descriptor >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file;
}

static __always_inline struct path *path_of(struct file *file)
{
	return __builtin_preserve_access_index((struct path *)&file->f_path);
}

/* The folder that a relative path starts from. Nothing for an absolute one. */
static __noinline __u32 tail__add_base(struct call_scratch *scratch, char *tail, __u32 used,
				       char first, __s32 directory)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct path *path;

	if (first == '/')
		return 0;
	if (directory == AT_FDCWD) {
		struct fs_struct *fs = BPF_CORE_READ(task, fs);

		path = __builtin_preserve_access_index(&fs->pwd);
	} else {
		struct file *file = file_of(directory);

		if (!file)
			return 0;
		path = path_of(file);
	}
	return tail__add_path(scratch, tail, used, path);
}

#endif /* TRIVET_SECURITY_TAIL_BPF_H */
