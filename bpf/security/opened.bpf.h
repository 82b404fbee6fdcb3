/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is told of the file that a call refers to or has opened, and which profile the call has. */
#ifndef TRIVET_SECURITY_OPENED_BPF_H
#define TRIVET_SECURITY_OPENED_BPF_H

#include "security/tail.bpf.h"

#define O_ACCMODE 3
#define O_WRONLY  1
#define O_RDWR	  2
#define O_CREAT	  0100
#define O_TRUNC	  01000
#define S_IFMT	  0170000
#define S_IFSOCK  0140000
#define S_IFDIR	  0040000

/* How files were counted before 6.13. */
struct file___before {
	atomic64_t f_count;
};

/* Whether more than one descriptor leads to it: it is not one that was opened just now. */
static __always_inline bool file__is_shared(struct file *file)
{
	if (bpf_core_field_exists(file->f_ref))
		return BPF_CORE_READ(file, f_ref.refcnt.counter) != 0;
	return BPF_CORE_READ((struct file___before *)file, f_count.counter) > 1;
}

static __always_inline void event__set_file(struct syscall_event *event, __u32 shape,
					    struct file *file)
{
	event->file_mode = BPF_CORE_READ(file, f_inode, i_mode);
	event->inode = BPF_CORE_READ(file, f_inode, i_ino);
	event->device = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	/* The caller's open_how may have changed since. */
	if (shape & CALL_OPENS)
		event->open_flags = (event->open_flags & ~O_ACCMODE) |
				    (BPF_CORE_READ(file, f_flags) & O_ACCMODE);
}

/*
 * The file's path, and where its mount comes from; bytes in the tail. A global function, as its
 * neighbours: the verifier looks at it once, and takes nothing of it into what follows.
 */
__noinline __u32 event__add_file(struct call_scratch *scratch, __u32 used, __u64 file)
{
	struct path *path = path_of((struct file *)file);
	struct syscall_event *event;

	if (!scratch)
		return used;
	event = &scratch->event;
	event->path_size = tail__add_path(scratch, scratch->tail, used, path);
	event->below_size = scratch->path.below;
	used += event->path_size;
	event->origin_size = tail__add_origin(scratch, scratch->tail, used, path);
	return used + event->origin_size;
}

static __always_inline __u32 event__profile(struct syscall_event *event, __u32 shape, __u64 address)
{
	__u32 profile = event->result < 0 ? PROFILE_FAILED : 0;

	if (shape & CALL_OPENS) {
		if ((event->open_flags & O_ACCMODE) != O_WRONLY)
			profile |= PROFILE_READ;
		if (event->open_flags & O_ACCMODE)
			profile |= PROFILE_WRITE;
		if ((event->file_mode & S_IFMT) == S_IFDIR)
			profile |= PROFILE_DIRECTORY;
	} else if ((shape & CALL_SENDS) && address) {
		profile |= PROFILE_ADDRESSED;
	} else if (shape & CALL_PICKS) {
		bool picked = shape & CALL_RETURNS_DESCRIPTOR
				      ? (event->file_mode & S_IFMT) == S_IFSOCK
				      : (__u32)event->arguments[0] == CALL_PICKED_COMMAND;

		if (picked)
			profile |= PROFILE_PICKED;
	}
	return profile;
}

#endif /* TRIVET_SECURITY_OPENED_BPF_H */
