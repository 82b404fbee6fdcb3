/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A socket's state at hand, and a packet judged for the process behind it: what TCP and UDP share.
 */
#ifndef TRIVET_SOCKET_BPF_H
#define TRIVET_SOCKET_BPF_H

#include "network/account.bpf.h"

#define AF_INET	 2
#define AF_INET6 10

#define PASS   1
#define REFUSE 0

static __always_inline struct socket_state *socket__state(struct bpf_sock *sk, __u64 cookie)
{
	struct socket_state *state =
		bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!state)
		count(FLOW_COUNT_SOCKET_UNTRACKED, 1);
	else if (!state->flow.cookie)
		state->flow.cookie = cookie;
	return state;
}

static __always_inline void ask__about_packet(struct judgement *ask, const struct packet *packet,
					      __u8 direction, __u64 epoch)
{
	ask->peer_address[0] = packet->peer_address[0];
	ask->peer_address[1] = packet->peer_address[1];
	ask->epoch = epoch;
	ask->protocol = packet->protocol;
	ask->direction = direction;
	ask->port = direction == FLOW_EGRESS ? packet->peer_port : packet->local_port;
	if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6)
		ask->port = packet->type;
	ask->no_ports = packet->no_ports;
}

/* Judges a packet for the process that owns the socket; its creator until another one uses it. */
__noinline int judge__packet(struct __sk_buff *skb, struct judgement *ask,
			     struct socket_state *state)
{
	if (!ask)
		return 0;
	__builtin_memset(&ask->selectors, 0, sizeof(ask->selectors));
	if (selectors__wanted(ask->epoch)) {
		if (state && state->flow.flags & ACCOUNT_OWNER_SEEN)
			selectors__add_cgroups(&ask->selectors, state->cgroups, ask->epoch);
		else
			selectors__add_socket_cgroups(skb, &ask->selectors, ask->epoch);
		if (state)
			selectors__add_owner(&ask->selectors, &state->flow.owner, ask->epoch);
	}
	return judge(ask);
}

#endif /* TRIVET_SOCKET_BPF_H */
