/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP: one flow for each socket and peer, in a table of limited size whose entries expire by
 * themselves. A refused peer gets no entry, so that nobody can fill the table who is not let in.
 */
#ifndef TRIVET_DATAGRAM_BPF_H
#define TRIVET_DATAGRAM_BPF_H

#include "network/socket.bpf.h"

/* Ends a UDP flow that was idle for long, else looks again later. */
static int datagram__expire(void *map, struct datagram_key *key, struct datagram_flow *datagrams)
{
	__u64 idle_ns = bpf_ktime_get_boot_ns() - datagrams->flow.last_ns;
	__u64 allowed_ns = policy__settings().udp_idle_ns;

	if (idle_ns < allowed_ns) {
		bpf_timer_start(&datagrams->expiry, allowed_ns - idle_ns, 0);
		return 0;
	}
	flow__report(&datagrams->flow, FLOW_CLOSED);
	bpf_map_delete_elem(map, key);
	return 0;
}

/* A flow for a peer that is new to the socket, or NULL where the table is full. */
static __always_inline struct datagram_flow *datagram__begin(struct datagram_key *key,
							     struct socket_state *state,
							     const struct packet *packet,
							     __u8 direction)
{
	struct datagram_flow *datagrams;
	long refused;

	if (!state)
		return NULL;
	/* The socket's own state is a blank flow with the owner filled in. */
	refused = bpf_map_update_elem(&datagram_flows, key, &state->flow, BPF_NOEXIST);
	datagrams = bpf_map_lookup_elem(&datagram_flows, key);
	/* Another CPU's packet of the same peer may have been first. */
	if (!datagrams || refused)
		return datagrams;
	flow__begin(&datagrams->flow, IPPROTO_UDP, direction, bpf_ktime_get_boot_ns());
	flow__set_tuple(&datagrams->flow, packet);
	state->last_peer = *key;
	if (!bpf_timer_init(&datagrams->expiry, &datagram_flows, 7 /* CLOCK_BOOTTIME */)) {
		bpf_timer_set_callback(&datagrams->expiry, datagram__expire);
		bpf_timer_start(&datagrams->expiry, policy__settings().udp_idle_ns, 0);
	}
	return datagrams;
}

/* What was kept of a peer when the table was full, unless it was idle for too long; may be NULL. */
static __always_inline struct datagram_beginning *
datagram__beginning(const struct datagram_key *key)
{
	struct datagram_beginning *kept = bpf_map_lookup_elem(&datagram_beginnings, key);

	if (kept && bpf_ktime_get_boot_ns() - kept->last_ns < policy__settings().udp_idle_ns)
		return kept;
	return NULL;
}

/* In a frame of its own: the stack of all frames together is 512 bytes. */
static __noinline int datagram__keep_beginning(const struct datagram_key *key, __u8 direction)
{
	struct datagram_beginning keep = {.last_ns = bpf_ktime_get_boot_ns(),
					  .direction = direction};

	return bpf_map_update_elem(&datagram_beginnings, key, &keep, BPF_ANY);
}

/* Who began with a peer that has no flow: who is connected asked, else the first packet says so. */
static __always_inline __u8 datagram__direction(const struct datagram_key *key, bool sent,
						bool connected)
{
	struct datagram_beginning *kept = datagram__beginning(key);

	if (kept)
		return kept->direction;
	return sent || connected ? FLOW_EGRESS : FLOW_INGRESS;
}

/* Looks up the state itself: 6.1 takes no argument of a global function for a map's value. */
__noinline int datagram__packet(struct __sk_buff *skb, bool sent)
{
	__u64 epoch = policy__epoch(), now = bpf_ktime_get_boot_ns();
	struct datagram_flow *datagrams;
	struct datagram_key key = {};
	struct judgement ask = {};
	struct bpf_sock *sk = skb->sk;
	struct socket_state *state;
	struct packet packet = {};
	__u8 changed = 0, stale, direction;
	__u16 owner_version;

	if (!sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	state = socket__state(sk, bpf_get_socket_cookie(skb));
	owner_version = state ? state->flow.owner_version : 0;
	if (!packet__read(skb, &packet, sent)) {
		count(FLOW_COUNT_UNREADABLE, 1);
		return PASS;
	}
	key.cookie = bpf_get_socket_cookie(skb);
	key.peer_address[0] = packet.peer_address[0];
	key.peer_address[1] = packet.peer_address[1];
	key.peer_port = packet.peer_port;
	datagrams = bpf_map_lookup_elem(&datagram_flows, &key);
	direction = datagrams ? datagrams->flow.direction
			      : datagram__direction(&key, sent, sk->dst_port != 0);
	stale = !datagrams || datagrams->flow.epoch != epoch ||
		datagrams->flow.judged_version != owner_version;
	if (stale) {
		ask__about_packet(&ask, &packet, direction, epoch);
		judge__packet(skb, &ask, state);
	}
	if (!datagrams) {
		if (ask.verdict == FLOW_DROPPED) {
			count__dropped(IPPROTO_UDP);
			denial__report(state ? &state->flow : NULL, &ask, &packet);
			return REFUSE;
		}
		datagrams = datagram__begin(&key, state, &packet, direction);
		if (!datagrams) {
			datagram__keep_beginning(&key, direction);
			count(FLOW_COUNT_DATAGRAM_UNCOUNTED, 1);
			return PASS;
		}
	}
	if (stale) {
		changed = datagrams->flow.verdict != ask.verdict;
		datagrams->flow.rule = ask.rule;
		datagrams->flow.verdict = ask.verdict;
		datagrams->flow.epoch = epoch;
		datagrams->flow.judged_version = owner_version;
	}
	if (datagrams->flow.verdict == FLOW_DROPPED) {
		flow__count_dropped(&datagrams->flow, now);
		if (changed || report__is_due(datagrams->flow.reported_ns, now))
			flow__report_denial(&datagrams->flow);
		return REFUSE;
	}
	flow__add(&datagrams->flow, sent, skb->len, now);
	if (changed || report__is_due(datagrams->flow.reported_ns, now)) {
		if (state)
			datagrams->flow.owner = state->flow.owner;
		flow__report(&datagrams->flow, FLOW_OPEN);
	}
	return PASS;
}

#endif /* TRIVET_DATAGRAM_BPF_H */
