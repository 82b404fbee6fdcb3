/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The full path of a file as text, by walking dentries and mounts up to the root of the mount
 * namespace. bpf_d_path() is not for us: before it may be called the verifier wants one of a few
 * functions, and tracepoints are not among them. The walk runs wherever bpf_probe_read_kernel()
 * does.
 */
#ifndef TRIVET_PATH_BPF_H
#define TRIVET_PATH_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* PATH_MAX, a power of two so that the verifier can follow a mask. */
#define PATH_TEXT_MAX 4096
/* NAME_MAX and the slash before it. */
#define PATH_NAME_MAX 256
/* A path of one-letter names has half as many steps as bytes; the rest are mounts crossed. */
#define PATH_STEPS_MAX 2200

#define PATH_MAGIC_PIPE	      0x50495045
#define PATH_MAGIC_SOCKET     0x534f434b
#define PATH_MAGIC_ANON_INODE 0x09041934

/* Room to build one path in; keep it in map memory, one for each thread that may be inside. */
struct path_buffer {
	char data[PATH_TEXT_MAX + PATH_NAME_MAX];
	/* Of the last path: how many bytes at its end are below the mount that the file is on. */
	__u32 below;
};

/* Room for what is read. */
struct path_text {
	char data[PATH_TEXT_MAX];
};

/* The text grows downwards from PATH_TEXT_MAX: the walk meets the last name first. */
struct path_walk {
	struct path_buffer *buffer;
	struct dentry *dentry;
	struct vfsmount *mount;
	__u32 start;
	__u32 below;	 /* what `start` was when the file's own mount was left */
	__u32 detached;	 /* no path leads there: a pipe, a memfd */
	__u32 truncated; /* the path is longer than PATH_TEXT_MAX: its beginning is missing */
};

/* Puts "/" and the name before the text; false where it has no more room. */
static __always_inline bool path__prepend(struct path_walk *walk, const void *name, __u32 length)
{
	__u32 start;

	length &= PATH_NAME_MAX - 1;
	if (length + 1 > walk->start) {
		walk->truncated = 1;
		return false;
	}
	start = walk->start - length - 1;
	/* The compiler would drop a mask that it knows to change nothing; the verifier needs it. */
	asm volatile("" : "+r"(start));
	start &= PATH_TEXT_MAX - 1;
	walk->buffer->data[start] = '/';
	bpf_probe_read_kernel(&walk->buffer->data[start + 1], length, name);
	walk->start = start;
	return true;
}

/* Copies the text to `out`; its length. */
static __always_inline __u32 path__copy(const struct path_walk *walk, char *out)
{
	__u32 start = walk->start, length;

	if (start >= PATH_TEXT_MAX) {
		out[0] = '/';
		return 1;
	}
	/* What has lost its beginning must not look absolute. */
	if (walk->truncated)
		start++;
	start &= PATH_TEXT_MAX - 1;
	length = PATH_TEXT_MAX - start;
	asm volatile("" : "+r"(length));
	if (length == 0 || length > PATH_TEXT_MAX)
		return 0;
	if (bpf_probe_read_kernel(out, length, &walk->buffer->data[start]))
		return 0;
	return length;
}

static long path__step(__u32 index, struct path_walk *walk)
{
	struct dentry *dentry = walk->dentry, *parent;
	struct vfsmount *vfsmount = walk->mount;
	struct qstr name;

	if (dentry == BPF_CORE_READ(vfsmount, mnt_root)) {
		struct mount *mount = container_of(vfsmount, struct mount, mnt);
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);

		if (!walk->below)
			walk->below = walk->start;
		if (above == mount)
			return 1;
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = __builtin_preserve_access_index(&above->mnt);
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry) {
		/* A root that is not its mount's: of a file system that nobody mounted. */
		walk->detached = walk->start == PATH_TEXT_MAX;
		return 1;
	}
	name = BPF_CORE_READ(dentry, d_name);
	if (!path__prepend(walk, name.name, name.len))
		return 1;
	walk->dentry = parent;
	return 0;
}

/* What /proc shows for a file that no path leads to; memfds without "/" and " (deleted)". */
static __always_inline __u32 path__read_detached(struct dentry *dentry, char *out)
{
	__u64 magic = BPF_CORE_READ(dentry, d_sb, s_magic);
	__u64 inode = BPF_CORE_READ(dentry, d_inode, i_ino);
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	long size;

	if (magic == PATH_MAGIC_PIPE)
		size = BPF_SNPRINTF(out, PATH_NAME_MAX, "pipe:[%lu]", inode);
	else if (magic == PATH_MAGIC_SOCKET)
		size = BPF_SNPRINTF(out, PATH_NAME_MAX, "socket:[%lu]", inode);
	else if (magic == PATH_MAGIC_ANON_INODE)
		size = BPF_SNPRINTF(out, PATH_NAME_MAX, "anon_inode:%s", name);
	else
		size = bpf_probe_read_kernel_str(out, PATH_NAME_MAX, name);
	if (size <= 0)
		return 0;
	if (size > PATH_NAME_MAX)
		size = PATH_NAME_MAX;
	return size - 1;
}

/* path__read() for the verifier: a global function is looked at once, not at each call. */
__noinline __u32 path__write(__u64 dentry_address, __u64 mount, struct path_buffer *buffer,
			     struct path_text *text)
{
	struct path_walk walk = {.buffer = buffer, .start = PATH_TEXT_MAX};
	static const char deleted[] = " (deleted)";
	struct dentry *dentry = (struct dentry *)dentry_address;
	__u32 length;
	char *out;

	if (!buffer || !text)
		return 0;
	buffer->below = 0;
	out = text->data;
	if (!dentry)
		return 0;
	walk.dentry = dentry;
	walk.mount = (struct vfsmount *)mount;
	bpf_loop(PATH_STEPS_MAX, path__step, &walk, 0);
	if (walk.below)
		buffer->below = PATH_TEXT_MAX - walk.below;
	if (walk.detached)
		return path__read_detached(dentry, out);
	length = path__copy(&walk, out);
	/* Unhashed: unlinked. A root is not hashed either, but it has no name to lose. */
	if (length > 1 && length <= PATH_TEXT_MAX - sizeof(deleted) &&
	    !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry) {
		/* The bound again, in the register that counts. */
		barrier_var(length);
		if (length > PATH_TEXT_MAX - sizeof(deleted))
			return 0;
		bpf_probe_read_kernel(out + length, sizeof(deleted) - 1, deleted);
		length += sizeof(deleted) - 1;
		if (buffer->below)
			buffer->below += sizeof(deleted) - 1;
	}
	return length;
}

/*
 * Writes the path without a terminating NUL to `out`, which has PATH_TEXT_MAX bytes of room in map
 * memory, and answers its length: 1..PATH_TEXT_MAX, 0 where there is none. " (deleted)" follows a
 * name that was unlinked. A path that is too long loses its beginning, so it does not start with
 * "/".
 */
static __always_inline __u32 path__read(const struct path *path, struct path_buffer *buffer,
					char *out)
{
	__u32 length =
		path__write((__u64)BPF_CORE_READ(path, dentry), (__u64)BPF_CORE_READ(path, mnt),
			    buffer, (struct path_text *)out);

	return length > PATH_TEXT_MAX ? PATH_TEXT_MAX : length;
}

/* The same within the file system that it is on, whatever is mounted where. */
static __always_inline __u32 path__read_inner(const struct dentry *dentry,
					      struct path_buffer *buffer, char *out)
{
	__u32 length = path__write((__u64)dentry, 0, buffer, (struct path_text *)out);

	return length > PATH_TEXT_MAX ? PATH_TEXT_MAX : length;
}

#endif /* TRIVET_PATH_BPF_H */
