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

	if (idle_ns < config.udp_idle_ns) {
		bpf_timer_start(&datagrams->expiry, config.udp_idle_ns - idle_ns, 0);
		return 0;
	}
	flow__report(&datagrams->flow, FLOW_CLOSED);
	bpf_map_delete_elem(map, key);
	return 0;
}

/* A flow for a peer that is new to the socket, or NULL where the table is full. */
static __noinline struct datagram_flow *datagram__begin(struct datagram_key *key,
							struct flow *socket)
{
	struct datagram_flow *datagrams;

	if (!socket)
		return NULL;
	/* The socket's own state is a blank flow with the owner filled in. */
	if (bpf_map_update_elem(&datagram_flows, key, socket, BPF_NOEXIST))
		return NULL;
	datagrams = bpf_map_lookup_elem(&datagram_flows, key);
	if (!datagrams)
		return NULL;
	if (!bpf_timer_init(&datagrams->expiry, &datagram_flows, 7 /* CLOCK_BOOTTIME */)) {
		bpf_timer_set_callback(&datagrams->expiry, datagram__expire);
		bpf_timer_start(&datagrams->expiry, config.udp_idle_ns, 0);
	}
	return datagrams;
}

static __noinline int datagram__packet(struct __sk_buff *skb, struct socket_state *state, bool sent)
{
	__u64 epoch = policy__epoch(), now = bpf_ktime_get_boot_ns();
	struct datagram_flow *datagrams;
	struct datagram_key key = {};
	struct judgement ask = {};
	struct packet packet;
	__u8 direction = sent ? FLOW_EGRESS : FLOW_INGRESS;
	__u8 changed = 0;

	if (!packet__read(skb, &packet, sent)) {
		count(FLOW_COUNT_UNREADABLE, 1);
		return PASS;
	}
	key.cookie = bpf_get_socket_cookie(skb);
	key.peer_address[0] = packet.peer_address[0];
	key.peer_address[1] = packet.peer_address[1];
	key.peer_port = packet.peer_port;
	datagrams = bpf_map_lookup_elem(&datagram_flows, &key);
	if (datagrams)
		direction = datagrams->flow.direction;
	if (!datagrams || datagrams->flow.epoch != epoch) {
		ask__about_packet(&ask, &packet, direction, epoch);
		judge__packet(skb, &ask, state ? &state->flow : NULL);
	}
	if (!datagrams) {
		if (ask.verdict == FLOW_DROPPED) {
			count__dropped(IPPROTO_UDP);
			denial__report(state ? &state->flow : NULL, &ask, &packet);
			return REFUSE;
		}
		datagrams = datagram__begin(&key, state ? &state->flow : NULL);
		if (!datagrams) {
			count(FLOW_COUNT_DATAGRAM_UNCOUNTED, 1);
			return PASS;
		}
		flow__begin(&datagrams->flow, IPPROTO_UDP, direction, now);
		flow__set_tuple(&datagrams->flow, &packet);
		if (state)
			state->last_peer = key;
	}
	if (datagrams->flow.epoch != epoch) {
		changed = datagrams->flow.verdict != ask.verdict;
		datagrams->flow.rule = ask.rule;
		datagrams->flow.verdict = ask.verdict;
		datagrams->flow.epoch = epoch;
	}
	if (datagrams->flow.verdict == FLOW_DROPPED) {
		flow__count_dropped(&datagrams->flow, now);
		if (changed || now - datagrams->flow.reported_ns >= config.interval_ns)
			flow__report_denial(&datagrams->flow);
		return REFUSE;
	}
	flow__add(&datagrams->flow, sent, skb->len, now);
	if (changed || now - datagrams->flow.reported_ns >= config.interval_ns) {
		if (state)
			datagrams->flow.owner = state->flow.owner;
		flow__report(&datagrams->flow, FLOW_OPEN);
	}
	return PASS;
}

#endif /* TRIVET_DATAGRAM_BPF_H */
