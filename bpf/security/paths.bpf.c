// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Where the paths of calls that open nothing lead, as the kernel itself found them: noted where it
 * asks whether the call may go on. fentry on the kernel's side of the LSM hooks rather than LSM
 * programs: it needs no boot argument, and is asked even where another LSM says no. Where a path
 * leads to nothing yet, its folder and name say where it will be.
 */
#include "security/numbers.bpf.h"
#include "security/resolved.bpf.h"
#include "security/wanted.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

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
		bpf_task_storage_get(&lane_paths, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

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

/* Begins what is noted of the call that asks; NULL where nobody wants it, or memory is short. */
static __always_inline struct resolved_paths *paths__begin(void)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	__u32 told = task__in_compat_call() ? compat__call(regs) : native__call(regs);
	__u64 call;

	if (!told || !call__wanted(told - 1) || process__is_own(config.own_tgids))
		return NULL;
	call = told - 1;
	barrier_var(call);
	if (call >= CALLS_MAX || !shape__has_paths(calls.shapes[call]))
		return NULL;
	return resolved__begin(call__number(regs));
}

SEC("fentry/security_path_unlink")
int BPF_PROG(path_unlink, const struct path *folder, struct dentry *dentry)
{
	return resolved__first(paths__begin(), dentry, BPF_CORE_READ(folder, mnt));
}

SEC("fentry/security_path_rmdir")
int BPF_PROG(path_rmdir, const struct path *folder, struct dentry *dentry)
{
	return resolved__first(paths__begin(), dentry, BPF_CORE_READ(folder, mnt));
}

SEC("fentry/security_path_mkdir")
int BPF_PROG(path_mkdir, const struct path *folder, struct dentry *dentry)
{
	return resolved__first(paths__begin(), dentry, BPF_CORE_READ(folder, mnt));
}

SEC("fentry/security_path_mknod")
int BPF_PROG(path_mknod, const struct path *folder, struct dentry *dentry)
{
	return resolved__first(paths__begin(), dentry, BPF_CORE_READ(folder, mnt));
}

SEC("fentry/security_path_symlink")
int BPF_PROG(path_symlink, const struct path *folder, struct dentry *dentry)
{
	return resolved__second(paths__begin(), dentry, BPF_CORE_READ(folder, mnt));
}

/* Both ends are on one mount. */
SEC("fentry/security_path_link")
int BPF_PROG(path_link, struct dentry *old, const struct path *folder, struct dentry *dentry)
{
	struct resolved_paths *paths = paths__begin();
	struct vfsmount *mount = BPF_CORE_READ(folder, mnt);

	resolved__first(paths, old, mount);
	return resolved__second(paths, dentry, mount);
}

SEC("fentry/security_path_rename")
int BPF_PROG(path_rename, const struct path *old_folder, struct dentry *old,
	     const struct path *folder, struct dentry *dentry)
{
	struct resolved_paths *paths = paths__begin();

	resolved__first(paths, old, BPF_CORE_READ(old_folder, mnt));
	return resolved__second(paths, dentry, BPF_CORE_READ(folder, mnt));
}

SEC("fentry/security_path_truncate")
int BPF_PROG(path_truncate, const struct path *path)
{
	return resolved__first(paths__begin(), BPF_CORE_READ(path, dentry),
			       BPF_CORE_READ(path, mnt));
}

SEC("fentry/security_path_chmod")
int BPF_PROG(path_chmod, const struct path *path)
{
	return resolved__first(paths__begin(), BPF_CORE_READ(path, dentry),
			       BPF_CORE_READ(path, mnt));
}

SEC("fentry/security_path_chown")
int BPF_PROG(path_chown, const struct path *path)
{
	return resolved__first(paths__begin(), BPF_CORE_READ(path, dentry),
			       BPF_CORE_READ(path, mnt));
}

SEC("fentry/security_path_chroot")
int BPF_PROG(path_chroot, const struct path *path)
{
	return resolved__first(paths__begin(), BPF_CORE_READ(path, dentry),
			       BPF_CORE_READ(path, mnt));
}

SEC("fentry/security_sb_mount")
int BPF_PROG(path_mount, const char *device, const struct path *path)
{
	return resolved__second(paths__begin(), BPF_CORE_READ(path, dentry),
				BPF_CORE_READ(path, mnt));
}
