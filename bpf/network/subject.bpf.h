/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who a process is, as policy asks for it: which of its selectors speak of the process behind a
 * socket. The maps are written by user space, which looks for what selectors stand for at present.
 */
#ifndef TRIVET_SUBJECT_BPF_H
#define TRIVET_SUBJECT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "network/policy.h"
#include "lanes.bpf.h"

/* cgroups nest deeper than this nowhere: Kubernetes under systemd reaches 7. */
#define CGROUP_DEPTH_MAX 16

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, POLICY_IDENTITIES_MAX);
	__type(key, __u64);
	__type(value, struct policy_identity);
} policy_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, POLICY_IDENTITIES_MAX);
	__type(key, struct policy_executable);
	__type(value, struct policy_identity);
} policy_executables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, POLICY_IDENTITIES_MAX);
	__type(key, struct policy_trait);
	__type(value, struct policy_identity);
} policy_traits SEC(".maps");

/* A socket's owner. */
struct owner {
	struct task_key task;
	__u64 cgroup_id;
	struct policy_executable executable;
	__u32 tid;
	__u32 user;
	__u32 group;
	__u32 net_namespace;
	__u32 on_host; /* 1: in the first pid namespace */
	__u32 reserved;
};

static __always_inline void owner__set_current(struct owner *owner)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);
	__u64 ids = bpf_get_current_uid_gid();

	task_key__read(&owner->task, task);
	owner->tid = (__u32)bpf_get_current_pid_tgid();
	owner->cgroup_id = bpf_get_current_cgroup_id();
	owner->executable.inode = BPF_CORE_READ(inode, i_ino);
	owner->executable.device = BPF_CORE_READ(inode, i_sb, s_dev);
	owner->executable.reserved = 0;
	owner->user = (__u32)ids;
	owner->group = ids >> 32;
	owner->net_namespace = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	owner->on_host = BPF_CORE_READ(task, thread_pid, level) == 0;
	owner->reserved = 0;
}

static __always_inline void selectors__add(struct policy_selectors *all,
					   const struct policy_identity *identity, __u64 epoch)
{
	if (!identity)
		return;
	for (int word = 0; word < POLICY_SELECTOR_WORDS; word++)
		all->words[word] |= identity->selectors[POLICY_SLOT(epoch)].words[word];
}

static __always_inline void selectors__add_trait(struct policy_selectors *all, __u32 kind,
						 __u32 value, __u64 epoch)
{
	struct policy_trait trait = {.kind = kind, .value = value};

	selectors__add(all, bpf_map_lookup_elem(&policy_traits, &trait), epoch);
}

/* Of the process itself, without its cgroups. */
static __always_inline void selectors__add_owner(struct policy_selectors *all,
						 const struct owner *owner, __u64 epoch)
{
	struct policy_executable executable = owner->executable;

	selectors__add(all, bpf_map_lookup_elem(&policy_executables, &executable), epoch);
	selectors__add_trait(all, POLICY_TRAIT_USER, owner->user, epoch);
	selectors__add_trait(all, POLICY_TRAIT_GROUP, owner->group, epoch);
	selectors__add_trait(all, POLICY_TRAIT_NETNS, owner->net_namespace, epoch);
	selectors__add_trait(all, POLICY_TRAIT_HOST, owner->on_host, epoch);
}

static __always_inline void selectors__add_cgroup(struct policy_selectors *all, __u64 id,
						  __u64 epoch)
{
	selectors__add(all, bpf_map_lookup_elem(&policy_cgroups, &id), epoch);
}

static __always_inline void selectors__add_cgroups(struct policy_selectors *all,
						   const __u64 ids[CGROUP_DEPTH_MAX], __u64 epoch)
{
	for (int level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 id = ids[level];

		if (!id)
			break;
		selectors__add_cgroup(all, id, epoch);
	}
}

/* Of the running task by its cgroup and those above it. */
__noinline int selectors__add_current_cgroups(struct policy_selectors *all, __u64 epoch)
{
	if (!all)
		return 0;
	for (int level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			break;
		selectors__add_cgroup(all, id, epoch);
	}
	return 0;
}

/* Of the packet's socket by its cgroup, which is its creator's, and those above it. */
__noinline int selectors__add_socket_cgroups(struct __sk_buff *skb, struct policy_selectors *all,
					     __u64 epoch)
{
	if (!all)
		return 0;
	for (int level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (!id)
			break;
		selectors__add_cgroup(all, id, epoch);
	}
	return 0;
}

#endif /* TRIVET_SUBJECT_BPF_H */
