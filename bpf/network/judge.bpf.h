/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policy's judgement: the fail-safe list, then the terms of the peer's and the service's
 * classes, then the default. All maps here are written by user space and only read by programs, but
 * for the counts.
 */
#ifndef TRIVET_JUDGE_BPF_H
#define TRIVET_JUDGE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "network/policy.h"
#include "network/subject.bpf.h"

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

/* A prefix's class. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_PREFIXES_MAX);
	__type(key, struct policy_prefix4);
	__type(value, __u32);
} policy_prefixes4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_PREFIXES_MAX);
	__type(key, struct policy_prefix6);
	__type(value, __u32);
} policy_prefixes6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, POLICY_PAGE(2, 0, 0));
	__type(key, __u32);
	__type(value, struct policy_page);
} policy_pages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_PEERS_MAX);
	__type(key, __u32);
	__type(value, struct policy_peer);
} policy_peers SEC(".maps");

/* Where the terms of a service class begin that are about every peer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_SERVICES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} policy_services SEC(".maps");

/* Where the terms of a pair of classes begin, if it has its own. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_CELLS_MAX);
	__type(key, struct policy_cell);
	__type(value, __u32);
} policy_cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_TERMS_MAX);
	__type(key, __u32);
	__type(value, struct policy_term);
} policy_terms SEC(".maps");

/* What a subject asks for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 2 * POLICY_SUBJECTS_MAX);
	__type(key, __u32);
	__type(value, struct policy_selectors);
} policy_subjects SEC(".maps");

/* Not per CPU, as that would be 64 MB on a large host; judgements are rarer than packets. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
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
	struct policy_selectors selectors; /* that speak of the process */
	__u64 epoch;
	__u32 rule; /* out */
	__u16 port; /* ICMP: the type */
	__u8 protocol;
	__u8 direction;
	__u8 no_ports; /* deny for any port counts, allow for a port does not */
	__u8 verdict;  /* out: enum flow_verdict */
	__u8 found;    /* out: 0 none, else enum policy_verdict of `rule` + 1 */
	__u8 audited;  /* an audit rule matched; audit_rule names it */
	__u8 quiet;    /* out: a refusal is not told */
	__u8 reserved;
	__u16 passed; /* the tier that is left, counted from 1 */
	__u32 audit_rule;
	__u32 next[2]; /* terms of the two lists that are walked as one */
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
	if (!row->protocol)
		return true;
	if (row->protocol != ask->protocol)
		return false;
	if (ask->no_ports)
		return row->port_low == 0 && row->port_high == 65535;
	return ask->port >= row->port_low && ask->port <= row->port_high;
}

/* What a loop is given must lie on the stack of who calls it. */
struct judge_walk {
	struct judgement *ask;
};

static long judge__failsafe_row(__u32 index, struct judge_walk *walk)
{
	struct judgement *ask = walk->ask;

	if (index >= POLICY_FAILSAFE_MAX)
		return 1;
	if (!row__matches(&config.failsafe[index], ask))
		return 0;
	ask->rule = FLOW_RULE_FAILSAFE;
	ask->found = POLICY_ALLOW + 1;
	return 1;
}

/* The class of the peer's address; 0 where it lies in no set. */
static __always_inline __u32 judge__peer_class(const struct judgement *ask, __u32 slot)
{
	__u32 *class;

	if (address__is_v4(ask->peer_address)) {
		struct policy_prefix4 key = {.bits = POLICY_SLOT_BITS + 32,
					     .slot = slot,
					     .address = ask->peer_address[1] >> 32};

		class = bpf_map_lookup_elem(&policy_prefixes4, &key);
	} else {
		struct policy_prefix6 key = {
			.bits = POLICY_SLOT_BITS + 128,
			.slot = slot,
			.address = {ask->peer_address[0], ask->peer_address[1]},
		};

		class = bpf_map_lookup_elem(&policy_prefixes6, &key);
	}
	return class ? *class : 0;
}

static __always_inline __u16 judge__service_class(const struct judgement *ask, __u32 slot)
{
	__u32 key = POLICY_PAGE_PROTOCOL, place = ask->protocol;
	struct policy_page *page;

	if (!ask->no_ports) {
		place = ask->port & 0xff;
		if (ask->protocol == IPPROTO_TCP)
			key = POLICY_PAGE_TCP + (ask->port >> 8);
		else if (ask->protocol == IPPROTO_UDP)
			key = POLICY_PAGE_UDP + (ask->port >> 8);
		else if (ask->protocol == IPPROTO_ICMP)
			key = POLICY_PAGE_ICMP;
		else if (ask->protocol == 58 /* IPPROTO_ICMPV6 */)
			key = POLICY_PAGE_ICMPV6;
		else
			place = ask->protocol;
	}
	key = POLICY_PAGE(slot, ask->direction & 1, key);
	page = bpf_map_lookup_elem(&policy_pages, &key);
	return page ? page->services[place & (POLICY_PAGE_SERVICES - 1)] : 0;
}

/* Where the two lists begin that hold all terms for these classes; the second may be empty. */
static __always_inline void judge__find_lists(struct judgement *ask, __u32 slot)
{
	struct policy_cell cell = {.peer = judge__peer_class(ask, slot),
				   .service = judge__service_class(ask, slot),
				   .slot = slot};
	__u32 key = slot * POLICY_SERVICES_MAX + cell.service;
	__u32 *first = bpf_map_lookup_elem(&policy_services, &key);
	__u32 terms = slot * POLICY_TERMS_MAX;
	struct policy_peer *peer;

	ask->next[0] = terms + (first ? *first : 0);
	ask->next[1] = terms;
	if (!cell.peer)
		return;
	first = bpf_map_lookup_elem(&policy_cells, &cell);
	if (first) {
		ask->next[0] = terms + *first;
		return;
	}
	key = slot * POLICY_PEERS_MAX + cell.peer;
	peer = bpf_map_lookup_elem(&policy_peers, &key);
	if (peer)
		ask->next[1] = terms + peer->first_term[ask->direction & 1];
}

static __always_inline bool subject__matches(__u16 subject, const struct judgement *ask)
{
	__u32 key = POLICY_SLOT(ask->epoch) * POLICY_SUBJECTS_MAX + subject;
	struct policy_selectors *asked;

	if (subject == POLICY_SUBJECT_ANY)
		return true;
	asked = bpf_map_lookup_elem(&policy_subjects, &key);
	if (!asked)
		return false;
	for (int word = 0; word < POLICY_SELECTOR_WORDS; word++) {
		if (asked->words[word] & ~ask->selectors.words[word])
			return false;
	}
	return true;
}

static long judge__term(__u32 step, struct judge_walk *walk)
{
	struct judgement *ask = walk->ask;
	__u32 first = ask->next[0], second = ask->next[1];
	struct policy_term *term = bpf_map_lookup_elem(&policy_terms, &first);
	struct policy_term *other = bpf_map_lookup_elem(&policy_terms, &second);

	if (!term || !other)
		return 1;
	if (other->order < term->order) {
		term = other;
		ask->next[1]++;
	} else {
		ask->next[0]++;
	}
	if (term->order == POLICY_TERM_END)
		return 1;
	if (ask->passed == term->tier + 1 || !subject__matches(term->subject, ask))
		return 0;
	if (term->verdict == POLICY_PASS) {
		ask->passed = term->tier + 1;
		return 0;
	}
	if (term->verdict == POLICY_AUDIT) {
		if (!ask->audited)
			ask->audit_rule = term->rule;
		ask->audited = 1;
		return 0;
	}
	ask->rule = term->rule;
	ask->found = term->verdict + 1;
	ask->quiet = term->quiet;
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
__noinline int judge(struct judgement *ask)
{
	struct policy_generation *generation;
	struct judge_walk walk;
	__u32 slot;

	if (!ask)
		return 0;
	walk.ask = ask;
	ask->found = 0;
	ask->audited = 0;
	ask->quiet = 0;
	ask->passed = 0;
	ask->rule = FLOW_RULE_DEFAULT;
	ask->verdict = FLOW_FORWARDED;
	slot = POLICY_SLOT(ask->epoch);
	generation = bpf_map_lookup_elem(&policy_generations, &slot);
	if (!ask->epoch || !generation)
		return 0;
	if (config.failsafe_rows)
		bpf_loop(config.failsafe_rows, judge__failsafe_row, &walk, 0);
	if (!ask->found) {
		judge__find_lists(ask, slot);
		bpf_loop(2 * POLICY_LIST_MAX, judge__term, &walk, 0);
	}
	if (!ask->found)
		ask->found = generation->default_verdict[ask->direction & 1] + 1;

	if (ask->found != POLICY_ALLOW + 1) {
		ask->verdict = generation->audit ? FLOW_AUDIT : FLOW_DROPPED;
	} else if (ask->audited) {
		ask->verdict = FLOW_AUDIT;
		ask->rule = ask->audit_rule;
	}
	judge__count(ask, ask->verdict == FLOW_DROPPED);
	return 0;
}

static __always_inline bool selectors__wanted(__u64 epoch)
{
	__u32 slot = POLICY_SLOT(epoch);
	struct policy_generation *generation = bpf_map_lookup_elem(&policy_generations, &slot);

	return epoch && generation && generation->selectors;
}

#endif /* TRIVET_JUDGE_BPF_H */
