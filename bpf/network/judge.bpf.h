/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policy's judgement: fail-safe list, then deny, audit and allow rows, then the default. All
 * maps here are written by user space and only read by programs, but for the counts.
 */
#ifndef TRIVET_JUDGE_BPF_H
#define TRIVET_JUDGE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "network/policy.h"

/* cgroups nest deeper than this nowhere: Kubernetes under systemd reaches 7. */
#define CGROUP_DEPTH_MAX 16

const volatile struct policy_config config = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy_settings);
} policy_settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} policy_epoch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct policy_generation);
} policy_generations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_ROWS_MAX);
	__type(key, __u32);
	__type(value, struct policy_row);
} policy_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, POLICY_IDENTITIES_MAX);
	__type(key, __u64);
	__type(value, struct policy_subjects);
} policy_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, POLICY_IDENTITIES_MAX);
	__type(key, struct policy_executable);
	__type(value, struct policy_subjects);
} policy_executables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, POLICY_COUNTS);
	__type(key, __u32);
	__type(value, struct policy_count);
} policy_counts SEC(".maps");

static __always_inline __u64 policy__epoch(void)
{
	__u32 zero = 0;
	__u64 *epoch = bpf_map_lookup_elem(&policy_epoch, &zero);

	return epoch ? *epoch : 0;
}

/* All zero until user space has written them. */
static __always_inline struct policy_settings policy__settings(void)
{
	__u32 zero = 0;
	struct policy_settings *settings = bpf_map_lookup_elem(&policy_settings, &zero);

	return settings ? *settings : (struct policy_settings){};
}

/* What is asked of the policy, and its answer. */
struct judgement {
	__u64 peer_address[2];
	__u64 subjects; /* bits of the subjects that the process belongs to */
	__u64 epoch;
	__u32 first_row;
	__u32 rule; /* out */
	__u16 port;
	__u8 protocol;
	__u8 direction;
	__u8 no_ports; /* deny for any port counts, allow for a port does not */
	__u8 verdict;  /* out: enum flow_verdict */
	__u8 found;    /* out: 0 none, else enum policy_verdict of `rule` + 1 */
	__u8 audited;  /* an audit row matched; audit_rule names it */
	__u32 audit_rule;
};

static __always_inline bool address__is_v4(const __u64 address[2])
{
	return address[0] == 0 && (__u32)address[1] == bpf_htonl(0xffff);
}

static __always_inline bool row__matches(const volatile struct policy_row *row,
					 const struct judgement *ask)
{
	if (row->direction != ask->direction)
		return false;
	/* IPv4 lies among IPv6's addresses, but ::/0 does not mean it. */
	if (row->family == 6 && address__is_v4(ask->peer_address))
		return false;
	if ((ask->peer_address[0] & row->mask[0]) != row->address[0] ||
	    (ask->peer_address[1] & row->mask[1]) != row->address[1])
		return false;
	if (row->subject != POLICY_SUBJECT_ANY && !(ask->subjects >> (row->subject & 63) & 1))
		return false;
	if (row->protocol) {
		if (row->protocol != ask->protocol)
			return ask->protocol == 255 && row->verdict == POLICY_DENY;
		if (ask->no_ports)
			return row->verdict == POLICY_DENY ||
			       (row->port_low == 0 && row->port_high == 65535);
		return ask->port >= row->port_low && ask->port <= row->port_high;
	}
	return true;
}

static long judge__failsafe_row(__u32 index, struct judgement *ask)
{
	if (index >= POLICY_FAILSAFE_MAX)
		return 1;
	if (!row__matches(&config.failsafe[index], ask))
		return 0;
	ask->rule = FLOW_RULE_FAILSAFE;
	ask->found = POLICY_ALLOW + 1;
	return 1;
}

static long judge__row(__u32 index, struct judgement *ask)
{
	__u32 key = ask->first_row + index;
	struct policy_row *row = bpf_map_lookup_elem(&policy_rows, &key);

	if (!row)
		return 1;
	if (row->verdict == POLICY_AUDIT && ask->audited)
		return 0;
	if (!row__matches(row, ask))
		return 0;
	if (row->verdict == POLICY_AUDIT) {
		ask->audited = 1;
		ask->audit_rule = row->rule;
		return 0;
	}
	ask->rule = row->rule;
	ask->found = row->verdict + 1;
	return 1;
}

/* The rule's index in policy_counts. */
static __always_inline __u32 policy__count_index(__u64 epoch, __u32 rule)
{
	__u32 slot = POLICY_SLOT(epoch);

	if (rule < POLICY_RULES_MAX)
		return POLICY_COUNT(slot, rule);
	return rule == FLOW_RULE_DEFAULT ? POLICY_COUNT_DEFAULT(slot) : POLICY_COUNT_FAILSAFE;
}

static __always_inline void judge__count(const struct judgement *answer, bool dropped)
{
	__u32 key = policy__count_index(answer->epoch, answer->rule);
	struct policy_count *count;

	count = bpf_map_lookup_elem(&policy_counts, &key);
	if (!count)
		return;
	__sync_fetch_and_add(&count->judged, 1);
	if (dropped)
		__sync_fetch_and_add(&count->dropped, 1);
}

/* Fills in verdict and rule from the rest, for the policy of asked->epoch, and counts the
 * judgement. */
__noinline int judge(struct judgement *asked)
{
	struct policy_generation *generation;
	struct judgement ask;
	__u32 slot;

	if (!asked)
		return 0;
	ask = *asked; /* what a loop is given must lie on this function's stack */
	ask.found = 0;
	ask.audited = 0;
	ask.rule = FLOW_RULE_DEFAULT;
	ask.verdict = FLOW_FORWARDED;
	slot = POLICY_SLOT(ask.epoch);
	generation = bpf_map_lookup_elem(&policy_generations, &slot);
	if (ask.epoch && generation) {
		if (config.failsafe_rows)
			bpf_loop(config.failsafe_rows, judge__failsafe_row, &ask, 0);
		if (!ask.found) {
			ask.first_row = slot * POLICY_ROWS_MAX;
			if (generation->rows)
				bpf_loop(generation->rows, judge__row, &ask, 0);
		}
		if (!ask.found)
			ask.found = generation->default_verdict[ask.direction & 1] + 1;

		if (ask.found != POLICY_ALLOW + 1) {
			ask.verdict = generation->audit ? FLOW_AUDIT : FLOW_DROPPED;
		} else if (ask.audited) {
			ask.verdict = FLOW_AUDIT;
			ask.rule = ask.audit_rule;
		}
		judge__count(&ask, ask.verdict == FLOW_DROPPED);
	}
	*asked = ask;
	return 0;
}

static __always_inline bool subjects__wanted(__u64 epoch)
{
	__u32 slot = POLICY_SLOT(epoch);
	struct policy_generation *generation = bpf_map_lookup_elem(&policy_generations, &slot);

	return epoch && generation && generation->subjects;
}

static __always_inline __u64 subjects__of_cgroup(__u64 id, __u64 epoch)
{
	struct policy_subjects *subjects = bpf_map_lookup_elem(&policy_cgroups, &id);

	return subjects ? subjects->bits[POLICY_SLOT(epoch)] : 0;
}

static __always_inline __u64 subjects__of_executable(const struct policy_executable *id,
						     __u64 epoch)
{
	struct policy_subjects *subjects = bpf_map_lookup_elem(&policy_executables, id);

	return subjects ? subjects->bits[POLICY_SLOT(epoch)] : 0;
}

static __always_inline __u64 subjects__of_cgroups(const __u64 ids[CGROUP_DEPTH_MAX], __u64 epoch)
{
	__u64 bits = 0;

	for (int level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 id = ids[level];

		if (!id)
			break;
		bits |= subjects__of_cgroup(id, epoch);
	}
	return bits;
}

/* Subjects of the running task by its cgroup and those above it. */
__noinline __u64 subjects__of_current_cgroups(__u64 epoch)
{
	__u64 bits = 0;

	for (int level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);

		if (!id)
			break;
		bits |= subjects__of_cgroup(id, epoch);
	}
	return bits;
}

/* Subjects of the packet's socket by its cgroup, which is its creator's, and those above it. */
__noinline __u64 subjects__of_socket_cgroups(struct __sk_buff *skb, __u64 epoch)
{
	__u64 bits = 0;

	for (int level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 id = bpf_skb_ancestor_cgroup_id(skb, level);

		if (!id)
			break;
		bits |= subjects__of_cgroup(id, epoch);
	}
	return bits;
}

static __always_inline void executable__read_current(struct policy_executable *id)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);

	id->inode = BPF_CORE_READ(inode, i_ino);
	id->device = BPF_CORE_READ(inode, i_sb, s_dev);
	id->reserved = 0;
}

#endif /* TRIVET_JUDGE_BPF_H */
