/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP: one flow for each socket, judged in the direction in which it was opened; replies pass with
 * it. Until the accepted socket exists, its packets arrive with the listener's.
 */
#ifndef TRIVET_STREAM_BPF_H
#define TRIVET_STREAM_BPF_H

#include "network/socket.bpf.h"

/* Linux gives up a handshake after 127 s (tcp_syn_retries); a later SYN from that port is
 * another's. */
#define HANDSHAKE_MAX_NS (128 * NS_PER_SECOND)

/* Packets between a listener and a peer: the handshake, whose own socket does not exist yet. */
__noinline int handshake__packet(struct __sk_buff *skb, struct socket_state *state, bool sent)
{
	__u64 epoch = policy__epoch(), now = bpf_ktime_get_boot_ns();
	struct handshake_key key = {};
	struct handshake *handshake;
	struct judgement ask = {};
	struct packet packet = {};

	if (!packet__read(skb, &packet, sent)) {
		count(FLOW_COUNT_UNREADABLE, 1);
		return PASS;
	}
	key.cookie = bpf_get_socket_cookie(skb);
	key.peer_address[0] = packet.peer_address[0];
	key.peer_address[1] = packet.peer_address[1];
	key.peer_port = packet.peer_port;
	handshake = bpf_map_lookup_elem(&handshakes, &key);
	if (handshake && !sent && packet.type == TCP_FLAG_SYN &&
	    now - handshake->first_ns > HANDSHAKE_MAX_NS) {
		bpf_map_delete_elem(&handshakes, &key);
		handshake = NULL;
	}
	if (sent) {
		/* Only an allowed SYN is answered. */
		if (handshake) {
			__sync_fetch_and_add(&handshake->sent_bytes, skb->len);
			__sync_fetch_and_add(&handshake->sent_packets, 1);
		}
		return PASS;
	}
	if (!handshake || handshake->epoch != epoch) {
		ask__about_packet(&ask, &packet, FLOW_INGRESS, epoch);
		judge__packet(skb, &ask, state);
		if (ask.verdict == FLOW_DROPPED) {
			count__dropped(IPPROTO_TCP);
			denial__report(state ? &state->flow : NULL, &ask, &packet);
			return REFUSE;
		}
	}
	if (!handshake) {
		struct handshake fresh = {.epoch = epoch, .first_ns = now, .rule = ask.rule};

		/* What else arrives for a listener (scans, strays) belongs to no connection. */
		if (!(packet.type & TCP_FLAG_SYN))
			return PASS;
		fresh.verdict = ask.verdict;
		bpf_map_update_elem(&handshakes, &key, &fresh, BPF_NOEXIST);
		handshake = bpf_map_lookup_elem(&handshakes, &key);
		if (!handshake)
			return PASS;
	} else if (handshake->epoch != epoch) {
		handshake->rule = ask.rule;
		handshake->verdict = ask.verdict;
		handshake->epoch = epoch;
	}
	__sync_fetch_and_add(&handshake->received_bytes, skb->len);
	__sync_fetch_and_add(&handshake->received_packets, 1);
	return PASS;
}

/*
 * Who opened a connection that was there before the hooks: the peer, if something listens where it
 * arrives. A peer's port of 0 finds no connection, only a listener.
 */
__noinline __u8 stream__find_direction(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *listener;
	__u32 bytes = sizeof(tuple.ipv6);
	bool found;

	if (!packet)
		return FLOW_EGRESS;
	if (address__is_v4(packet->local_address)) {
		bytes = sizeof(tuple.ipv4);
		tuple.ipv4.saddr = packet->peer_address[1] >> 32;
		tuple.ipv4.daddr = packet->local_address[1] >> 32;
		tuple.ipv4.dport = bpf_htons(packet->local_port);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, packet->peer_address, 16);
		__builtin_memcpy(tuple.ipv6.daddr, packet->local_address, 16);
		tuple.ipv6.dport = bpf_htons(packet->local_port);
	}
	listener = bpf_skc_lookup_tcp(skb, &tuple, bytes, BPF_F_CURRENT_NETNS, 0);
	if (!listener)
		return FLOW_EGRESS;
	found = listener->state == BPF_TCP_LISTEN;
	bpf_sk_release(listener);
	return found ? FLOW_INGRESS : FLOW_EGRESS;
}

/* Reads what the flow does not know yet from this packet, and judges it again for a new epoch. */
__noinline int stream__refresh(struct __sk_buff *skb, struct socket_state *state, bool sent)
{
	struct flow *flow;
	__u64 epoch = policy__epoch();
	struct judgement ask = {};
	struct packet packet = {};
	__u16 owner_version;
	__u8 verdict;

	if (!state || !packet__read(skb, &packet, sent)) {
		count(FLOW_COUNT_UNREADABLE, 1);
		return 0;
	}
	flow = &state->flow;
	if (!(flow->flags & ACCOUNT_FLOW))
		flow__begin(flow, IPPROTO_TCP, stream__find_direction(skb, &packet),
			    bpf_ktime_get_boot_ns());
	/* Judge again where another program turned the connection to another peer. */
	if (flow->peer_address[0] != packet.peer_address[0] ||
	    flow->peer_address[1] != packet.peer_address[1] || flow->peer_port != packet.peer_port)
		flow->epoch = 0;
	flow__set_tuple(flow, &packet);
	owner_version = flow->owner_version;
	if (flow->epoch == epoch && flow->judged_version == owner_version)
		return 0;

	ask__about_packet(&ask, &packet, flow->direction, epoch);
	judge__packet(skb, &ask, state);
	flow->judged_version = owner_version;
	verdict = flow->verdict;
	flow->rule = ask.rule;
	flow->verdict = ask.verdict;
	flow->epoch = epoch;
	if (verdict != ask.verdict && ask.verdict != FLOW_DROPPED && flow->flags & ACCOUNT_OPENED)
		flow__report(flow, FLOW_OPEN);
	else if (verdict != ask.verdict)
		flow->reported_ns = 0;
	return 0;
}

static __always_inline int stream__packet(struct __sk_buff *skb, struct socket_state *state,
					  bool sent)
{
	struct flow *flow = &state->flow;
	__u64 now = bpf_ktime_get_boot_ns();

	if (flow->epoch != policy__epoch() || flow->judged_version != flow->owner_version ||
	    (flow->flags & (ACCOUNT_FLOW | ACCOUNT_TUPLE)) != (ACCOUNT_FLOW | ACCOUNT_TUPLE))
		stream__refresh(skb, state, sent);
	if (flow->verdict == FLOW_DROPPED) {
		flow__count_dropped(flow, now);
		if (report__is_due(flow->reported_ns, now))
			flow__report_denial(flow);
		return REFUSE;
	}
	flow__add(flow, sent, skb->len, now);
	if (report__is_due(flow->reported_ns ?: flow->first_ns, now) &&
	    !(flow->flags & ACCOUNT_ENDED))
		flow__report(flow, FLOW_OPEN);
	return PASS;
}

/*
 * A connection is being opened by the running task. Those of MPTCP have no connect() of their own
 * that was judged: their first packet is.
 */
static __always_inline void stream__opening(struct sock *sk, struct socket_state *state)
{
	if (!state->flow.cookie)
		state->flow.cookie = bpf_get_socket_cookie(sk);
	owner__refresh(state);
	if (!(state->flow.flags & ACCOUNT_FLOW))
		flow__begin(&state->flow, IPPROTO_TCP, FLOW_EGRESS, bpf_ktime_get_boot_ns());
}

/* The accepted socket's flow begins with what its handshake counted at the listener. */
static __always_inline void stream__accepted(struct sock *sk, struct flow *flow)
{
	struct handshake_key key = {.cookie = flow->cookie};
	struct handshake *handshake;
	__u64 local_address[2];

	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		address__from_v4(key.peer_address, BPF_CORE_READ(sk, __sk_common.skc_daddr));
		address__from_v4(local_address, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
	} else {
		BPF_CORE_READ_INTO(&key.peer_address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
		BPF_CORE_READ_INTO(&local_address, sk,
				   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
	}
	key.peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));

	flow->flags = 0;
	flow__begin(flow, IPPROTO_TCP, FLOW_INGRESS, bpf_ktime_get_boot_ns());
	flow->cookie = bpf_get_socket_cookie(sk);
	flow->local_address[0] = local_address[0];
	flow->local_address[1] = local_address[1];
	flow->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	flow->peer_address[0] = key.peer_address[0];
	flow->peer_address[1] = key.peer_address[1];
	flow->peer_port = key.peer_port;
	flow->flags |= ACCOUNT_TUPLE;
	handshake = bpf_map_lookup_elem(&handshakes, &key);
	if (!handshake) {
		count(FLOW_COUNT_HANDSHAKE_EVICTED, 1);
		return;
	}
	flow->first_ns = handshake->first_ns;
	flow->sent_bytes = handshake->sent_bytes;
	flow->sent_packets = handshake->sent_packets;
	flow->received_bytes = handshake->received_bytes;
	flow->received_packets = handshake->received_packets;
	flow->rule = handshake->rule;
	flow->verdict = handshake->verdict;
	flow->epoch = handshake->epoch;
	bpf_map_delete_elem(&handshakes, &key);
}

#endif /* TRIVET_STREAM_BPF_H */
