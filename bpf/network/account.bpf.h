/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of sockets and their flows, and how it is told. State lives in socket storage, which
 * nobody can evict; only UDP sockets with several peers need a hash, and a TCP handshake before its
 * socket exists.
 */
#ifndef TRIVET_ACCOUNT_BPF_H
#define TRIVET_ACCOUNT_BPF_H

#include "lanes.bpf.h"
#include "network/judge.bpf.h"
#include "network/packet.bpf.h"

#define NS_PER_SECOND 1000000000ULL

enum account_flags {
	ACCOUNT_FLOW = 1 << 0,	     /* there is a flow: tuple and direction are known */
	ACCOUNT_TUPLE = 1 << 1,	     /* and it was seen on a packet */
	ACCOUNT_OPENED = 1 << 2,     /* user space was told */
	ACCOUNT_ENDED = 1 << 3,	     /* user space was told the last time */
	ACCOUNT_OWNER_SEEN = 1 << 4, /* the owner itself used the socket, not only its creator */
};

/* One flow's account. The totals are added to atomically; the rest may be written by two CPUs at
 * once, which costs a report at worst. */
struct flow {
	struct owner owner;
	__u64 local_address[2];
	__u64 peer_address[2];
	__u16 local_port;
	__u16 peer_port;
	__u32 rule;
	__u64 epoch; /* of the policy that gave the verdict */
	__u64 first_ns;
	__u64 last_ns;
	__u64 reported_ns;
	__u64 sent_bytes;
	__u64 sent_packets;
	__u64 received_bytes;
	__u64 received_packets;
	__u64 dropped_packets;
	__u64 cookie;
	__u8 protocol;
	__u8 direction;
	__u8 verdict;
	__u8 flags;	      /* enum account_flags */
	__u16 owner_version;  /* grows with each change of the owner that policy can tell */
	__u16 judged_version; /* the one that the verdict is for */
};

/* A UDP flow is a socket and a peer. */
struct datagram_key {
	__u64 cookie;
	__u64 peer_address[2];
	__u16 peer_port;
	__u16 reserved[3];
};

struct datagram_flow {
	struct flow flow;
	struct bpf_timer expiry;
};

/* Of a TCP socket: its flow. Of a listener or UDP socket: whom it belongs to. */
struct socket_state {
	struct flow flow;
	struct datagram_key last_peer; /* UDP: the newest flow, ended when the socket is released */
	__u64 cgroups[CGROUP_DEPTH_MAX]; /* the owner's from the root down, if ACCOUNT_OWNER_SEEN */
};

/* Packets between a listener and a peer before the connection's own socket exists. */
struct handshake_key {
	__u64 cookie; /* the listener's */
	__u64 peer_address[2];
	__u16 peer_port;
	__u16 reserved[3];
};

struct handshake {
	__u64 epoch;
	__u64 first_ns;
	__u64 sent_bytes;
	__u64 sent_packets;
	__u64 received_bytes;
	__u64 received_packets;
	__u32 rule;
	__u32 verdict;
};

/* Accepted sockets start with a copy of their listener's state. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct datagram_key);
	__type(value, struct datagram_flow);
} datagram_flows SEC(".maps");

/* Who began with a peer that has no flow. */
struct datagram_beginning {
	__u64 last_ns;
	__u32 direction; /* enum flow_direction */
	__u32 reserved;
};

/*
 * For peers for which datagram_flows has no room. Verdicts rest on it, so it always takes the
 * newest; a flood must bring this many peers between a question and its answer.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct datagram_key);
	__type(value, struct datagram_beginning);
} datagram_beginnings SEC(".maps");

/* LRU, as a SYN flood fills it; an evicted handshake costs its three packets' count, and is
 * counted. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct handshake_key);
	__type(value, struct handshake);
} handshakes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} flow_counters SEC(".maps");

/* Reports of denials in the current second, by rule as policy_counts has them. */
struct denial_window {
	__u64 start_ns;
	__u64 reports;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICY_COUNTS);
	__type(key, __u32);
	__type(value, struct denial_window);
} denial_windows SEC(".maps");

static __always_inline void count(__u32 counter, __u64 amount)
{
	__u64 *total = bpf_map_lookup_elem(&flow_counters, &counter);

	if (total)
		__sync_fetch_and_add(total, amount);
}

static __always_inline void count__dropped(__u8 protocol)
{
	count(protocol == IPPROTO_TCP	? FLOW_COUNT_DROPPED_TCP
	      : protocol == IPPROTO_UDP ? FLOW_COUNT_DROPPED_UDP
					: FLOW_COUNT_DROPPED_OTHER,
	      1);
}

/*
 * The running image uses the socket. It mostly is the owner already; else it becomes the owner, and
 * what was judged for the one before is judged again.
 */
static __always_inline void owner__refresh(struct socket_state *state)
{
	struct owner *owner = &state->flow.owner;
	__u64 cgroup_id = bpf_get_current_cgroup_id(), ids = bpf_get_current_uid_gid();
	struct policy_executable before = owner->executable;
	struct task_key task = {};
	bool same_group = state->flow.flags & ACCOUNT_OWNER_SEEN && owner->cgroup_id == cgroup_id &&
			  owner->user == (__u32)ids && owner->group == ids >> 32;

	task_key__read(&task, (void *)bpf_get_current_task());
	if (same_group && owner->task.tgid == task.tgid && owner->task.start_ns == task.start_ns &&
	    owner->task.exec_count == task.exec_count)
		return;
	owner__set_current(owner);
	for (int level = 0; level < CGROUP_DEPTH_MAX; level++)
		state->cgroups[level] = bpf_get_current_ancestor_cgroup_id(level);
	state->flow.flags |= ACCOUNT_OWNER_SEEN;
	if (!same_group || before.inode != owner->executable.inode ||
	    before.device != owner->executable.device)
		state->flow.owner_version++;
}

/* Whether it is time to tell a flow with traffic again. */
static __always_inline bool report__is_due(__u64 reported_ns, __u64 now)
{
	struct policy_settings settings = policy__settings();

	return settings.interval_ns && now - reported_ns >= settings.interval_ns;
}

static __always_inline void flow_event__fill(struct flow_event *event, const struct flow *flow,
					     __u8 state)
{
	event->header.tid = flow->owner.tid;
	event->header.task = flow->owner.task;
	event->header.cgroup_id = flow->owner.cgroup_id;
	event->header.socket_cookie = flow->cookie;
	event->local_address[0] = flow->local_address[0];
	event->local_address[1] = flow->local_address[1];
	event->peer_address[0] = flow->peer_address[0];
	event->peer_address[1] = flow->peer_address[1];
	event->local_port = flow->local_port;
	event->peer_port = flow->peer_port;
	event->rule = flow->rule;
	event->epoch = flow->epoch;
	event->first_ns = flow->first_ns;
	event->last_ns = flow->last_ns;
	event->sent_bytes = flow->sent_bytes;
	event->sent_packets = flow->sent_packets;
	event->received_bytes = flow->received_bytes;
	event->received_packets = flow->received_packets;
	event->dropped_packets = flow->dropped_packets;
	event->protocol = flow->protocol;
	event->direction = flow->direction;
	event->verdict = flow->verdict;
	event->state = state;
	event->reserved = 0;
}

/* Whether this second has room for another report of the rule: a flood must not fill the lane. */
static __always_inline bool denial__may_report(__u64 epoch, __u32 rule)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 key = policy__count_index(epoch, rule);
	struct denial_window *window = bpf_map_lookup_elem(&denial_windows, &key);

	if (!window)
		return false;
	if (now - window->start_ns > NS_PER_SECOND) {
		window->start_ns = now;
		window->reports = 0;
	}
	if (__sync_fetch_and_add(&window->reports, 1) < policy__settings().denials_per_second)
		return true;
	lane__count(LANE_ALERT, flow_event_id, offered);
	lane__count(LANE_ALERT, flow_event_id, filtered);
	return false;
}

/*
 * Tells user space, in the lane that wakes it at once, that `packet` was refused before there was a
 * flow. `socket` tells the owner and may be NULL.
 */
__noinline int denial__report(const struct flow *socket, const struct judgement *answer,
			      const struct packet *packet)
{
	struct flow_event *event;

	if (!answer || !packet || answer->quiet || !denial__may_report(answer->epoch, answer->rule))
		return 0;
	event = event_reserve(LANE_ALERT, flow_event);
	if (!event)
		return 0;
	if (socket) {
		event->header.tid = socket->owner.tid;
		event->header.task = socket->owner.task;
		event->header.cgroup_id = socket->owner.cgroup_id;
		event->header.socket_cookie = socket->cookie;
	}
	event->local_address[0] = packet->local_address[0];
	event->local_address[1] = packet->local_address[1];
	event->peer_address[0] = packet->peer_address[0];
	event->peer_address[1] = packet->peer_address[1];
	event->local_port = packet->local_port;
	event->peer_port = packet->peer_port;
	event->rule = answer->rule;
	event->epoch = answer->epoch;
	event->first_ns = event->last_ns = event->header.time_ns;
	event->sent_bytes = event->sent_packets = 0;
	event->received_bytes = event->received_packets = 0;
	event->dropped_packets = 1;
	event->protocol = packet->protocol;
	event->direction = answer->direction;
	event->verdict = answer->verdict;
	event->state = FLOW_REFUSED;
	event->reserved = 0;
	event_submit(LANE_ALERT, event);
	return 0;
}

/* Tells user space that policy turned against a flow that had begun. */
__noinline int flow__report_denial(struct flow *flow)
{
	struct flow_event *event;

	if (!flow)
		return 0;
	flow->reported_ns = bpf_ktime_get_boot_ns();
	if (!denial__may_report(flow->epoch, flow->rule))
		return 0;
	event = event_reserve(LANE_ALERT, flow_event);
	if (!event)
		return 0;
	flow_event__fill(event, flow, FLOW_OPEN);
	event_submit(LANE_ALERT, event);
	return 0;
}

/* Tells user space of a flow's present account. */
__noinline int flow__report(struct flow *flow, __u8 state)
{
	struct flow_event *event;

	if (!flow)
		return 0;
	flow->reported_ns = bpf_ktime_get_boot_ns();
	if (!(flow->flags & ACCOUNT_OPENED)) {
		flow->flags |= ACCOUNT_OPENED;
		count(FLOW_COUNT_OPENED, 1);
	}
	if (state == FLOW_CLOSED) {
		flow->flags |= ACCOUNT_ENDED;
		count(FLOW_COUNT_ENDED, 1);
	}
	event = event_reserve(LANE_CANDIDATE, flow_event);
	if (!event)
		return 0;
	flow_event__fill(event, flow, state);
	event_submit(LANE_CANDIDATE, event);
	return 0;
}

static __always_inline void flow__add(struct flow *flow, bool sent, __u32 bytes, __u64 now)
{
	flow->last_ns = now;
	if (sent) {
		__sync_fetch_and_add(&flow->sent_bytes, bytes);
		__sync_fetch_and_add(&flow->sent_packets, 1);
	} else {
		__sync_fetch_and_add(&flow->received_bytes, bytes);
		__sync_fetch_and_add(&flow->received_packets, 1);
	}
}

/* A new flow in place of whatever was there; the owner stays. */
static __always_inline void flow__begin(struct flow *flow, __u8 protocol, __u8 direction, __u64 now)
{
	flow->local_address[0] = flow->local_address[1] = 0;
	flow->local_port = 0;
	flow->rule = FLOW_RULE_DEFAULT;
	flow->epoch = 0;
	flow->first_ns = flow->last_ns = now;
	flow->reported_ns = 0;
	flow->sent_bytes = flow->sent_packets = 0;
	flow->received_bytes = flow->received_packets = 0;
	flow->dropped_packets = 0;
	flow->protocol = protocol;
	flow->direction = direction;
	flow->verdict = FLOW_FORWARDED;
	flow->flags = (flow->flags & ACCOUNT_OWNER_SEEN) | ACCOUNT_FLOW;
}

static __always_inline void flow__set_tuple(struct flow *flow, const struct packet *packet)
{
	flow->local_address[0] = packet->local_address[0];
	flow->local_address[1] = packet->local_address[1];
	flow->peer_address[0] = packet->peer_address[0];
	flow->peer_address[1] = packet->peer_address[1];
	flow->local_port = packet->local_port;
	flow->peer_port = packet->peer_port;
	flow->flags |= ACCOUNT_TUPLE;
}

static __always_inline void flow__count_dropped(struct flow *flow, __u64 now)
{
	flow->last_ns = now;
	__sync_fetch_and_add(&flow->dropped_packets, 1);
	count__dropped(flow->protocol);
}

#endif /* TRIVET_ACCOUNT_BPF_H */
