// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Policy and flows of sockets. A process is judged where it is itself at work (connect, sendmsg:
 * EPERM at once), each packet where it passes its socket (cgroup_skb), by a verdict kept with the
 * socket until the policy's epoch moves on. The same state counts the packets, so a flow costs no
 * event per packet.
 *
 * Return values of cgroup programs: 1 passes, 0 refuses.
 */
#include "network/datagram.bpf.h"
#include "network/stream.bpf.h"
#include "socket_use.bpf.h"

#define ECONNREFUSED 111

/* System calls: the running task is the one that is judged. */

/* connect() to no address means this host (ip(7), ipv6(7)). */
static __always_inline void address__resolve_any(__u64 address[2])
{
	if (address[0])
		return;
	if (address[1] == 0)
		address[1] = bpf_cpu_to_be64(1);
	else if (address[1] == bpf_cpu_to_be64(0x0000ffff00000000ULL))
		address[1] = bpf_cpu_to_be64(0x0000ffff7f000001ULL);
}

static __always_inline int judge__call(struct bpf_sock_addr *ctx, struct packet *packet,
				       bool connecting)
{
	struct bpf_sock *sk = ctx->sk;
	struct socket_state *state;
	struct judgement ask = {};
	__u64 epoch = policy__epoch();
	__u64 cookie = bpf_get_socket_cookie(ctx);

	if (!sk)
		return PASS;
	packet->protocol = ctx->protocol;
	packet->peer_port = bpf_ntohs(ctx->user_port);
	address__resolve_any(packet->peer_address);
	state = socket__state(sk, cookie);
	if (state)
		owner__refresh(state);
	/* Of other protocols, each packet is judged. */
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return PASS;

	if (!connecting) {
		struct datagram_key key = {
			.cookie = cookie,
			.peer_address = {packet->peer_address[0], packet->peer_address[1]},
			.peer_port = packet->peer_port,
		};
		struct datagram_flow *known = bpf_map_lookup_elem(&datagram_flows, &key);
		struct datagram_beginning *kept = datagram__beginning(&key);

		/* A reply to a peer that was let in is judged as such where its packet passes. */
		if (known ? known->flow.direction == FLOW_INGRESS
			  : kept && kept->direction == FLOW_INGRESS)
			return PASS;
		/* The next datagram of a judged flow. */
		if (known && known->flow.epoch == epoch && known->flow.verdict != FLOW_DROPPED &&
		    state && known->flow.judged_version == state->flow.owner_version)
			return PASS;
	}

	ask__about_packet(&ask, packet, FLOW_EGRESS, epoch);
	if (selectors__wanted(epoch)) {
		struct owner current = {};

		selectors__add_current_cgroups(&ask.selectors, epoch);
		if (!state)
			owner__set_current(&current);
		selectors__add_owner(&ask.selectors, state ? &state->flow.owner : &current, epoch);
	}
	judge(&ask);
	if (ask.verdict == FLOW_DROPPED) {
		count__dropped(packet->protocol);
		denial__report(state ? &state->flow : NULL, &ask, packet);
		if (ask.found == POLICY_REJECT + 1)
			bpf_set_retval(-ECONNREFUSED);
		return REFUSE;
	}
	if (connecting && state && ctx->protocol == IPPROTO_TCP) {
		flow__begin(&state->flow, IPPROTO_TCP, FLOW_EGRESS, bpf_ktime_get_boot_ns());
		state->flow.peer_address[0] = packet->peer_address[0];
		state->flow.peer_address[1] = packet->peer_address[1];
		state->flow.peer_port = packet->peer_port;
		state->flow.epoch = epoch;
		state->flow.rule = ask.rule;
		state->flow.verdict = ask.verdict;
		state->flow.judged_version = state->flow.owner_version;
	}
	return PASS;
}

SEC("cgroup/connect4")
int network_connect4(struct bpf_sock_addr *ctx)
{
	struct packet packet = {};

	address__from_v4(packet.peer_address, ctx->user_ip4);
	return judge__call(ctx, &packet, true);
}

SEC("cgroup/connect6")
int network_connect6(struct bpf_sock_addr *ctx)
{
	__be32 peer[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
	struct packet packet = {};

	address__from_v6(packet.peer_address, peer);
	return judge__call(ctx, &packet, true);
}

SEC("cgroup/sendmsg4")
int network_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct packet packet = {};

	address__from_v4(packet.peer_address, ctx->user_ip4);
	return judge__call(ctx, &packet, false);
}

SEC("cgroup/sendmsg6")
int network_sendmsg6(struct bpf_sock_addr *ctx)
{
	__be32 peer[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};
	struct packet packet = {};

	address__from_v6(packet.peer_address, peer);
	return judge__call(ctx, &packet, false);
}

/* Packets. */

/* Raw, ICMP and other sockets have no flows; each packet is judged. */
__noinline int other__packet(struct __sk_buff *skb, struct socket_state *state, bool sent)
{
	struct judgement ask = {};
	struct packet packet = {};

	if (!packet__read(skb, &packet, sent)) {
		count(FLOW_COUNT_UNREADABLE, 1);
		return PASS;
	}
	if (packet__is_ip_housekeeping(&packet))
		return PASS;
	/* The kernel itself answers through a raw socket: resets, and ACKs of closed connections.
	 */
	if (sent && packet.protocol == IPPROTO_TCP && !(packet.type & TCP_FLAG_SYN) &&
	    !packet.payload_bytes && !packet.no_ports)
		return PASS;
	ask__about_packet(&ask, &packet, sent ? FLOW_EGRESS : FLOW_INGRESS, policy__epoch());
	judge__packet(skb, &ask, state);
	if (ask.verdict != FLOW_DROPPED)
		return PASS;
	count__dropped(packet.protocol);
	denial__report(state ? &state->flow : NULL, &ask, &packet);
	return REFUSE;
}

static __always_inline int socket__packet(struct __sk_buff *skb, bool sent)
{
	struct bpf_sock *sk = skb->sk;
	struct socket_state *state;

	if (!sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	if (sk->protocol == IPPROTO_UDP)
		return datagram__packet(skb, sent);
	state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (sk->protocol != IPPROTO_TCP || sk->type != 1 /* SOCK_STREAM */)
		return other__packet(skb, state, sent);
	if (!state)
		state = socket__state(sk, bpf_get_socket_cookie(skb));
	if (sk->state == BPF_TCP_LISTEN)
		return handshake__packet(skb, state, sent);
	if (!state)
		return other__packet(skb, NULL, sent);
	return stream__packet(skb, state, sent);
}

/* The verifier knows nothing of what a global function returns. */
static __always_inline int packet__verdict(int verdict)
{
	barrier_var(verdict);
	return verdict & 1;
}

SEC("cgroup_skb/egress")
int network_egress(struct __sk_buff *skb)
{
	return packet__verdict(socket__packet(skb, true));
}

SEC("cgroup_skb/ingress")
int network_ingress(struct __sk_buff *skb)
{
	return packet__verdict(socket__packet(skb, false));
}

/* The life of sockets. */

SEC("cgroup/sock_create")
int network_sock_create(struct bpf_sock *ctx)
{
	struct socket_state *state;

	state = bpf_sk_storage_get(&sockets, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state)
		return PASS;
	state->flow.cookie = bpf_get_socket_cookie(ctx);
	owner__set_current(&state->flow.owner);
	return PASS;
}

SEC("cgroup/sock_release")
int network_sock_release(struct bpf_sock *ctx)
{
	struct socket_state *state;
	struct datagram_key key;
	struct datagram_flow *datagrams;

	if (ctx->protocol != IPPROTO_UDP)
		return PASS;
	state = bpf_sk_storage_get(&sockets, ctx, NULL, 0);
	if (!state || !state->last_peer.cookie)
		return PASS;
	key = state->last_peer;
	datagrams = bpf_map_lookup_elem(&datagram_flows, &key);
	if (!datagrams)
		return PASS;
	datagrams->flow.owner = state->flow.owner;
	flow__report(&datagrams->flow, FLOW_CLOSED);
	bpf_map_delete_elem(&datagram_flows, &key);
	return PASS;
}

/* Hook: a raw tracepoint sees every change of state with the socket at hand, on every kernel. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(network_sock_state, struct sock *sk, int oldstate, int newstate)
{
	struct socket_state *state;

	if (newstate != BPF_TCP_SYN_SENT && newstate != BPF_TCP_ESTABLISHED &&
	    newstate != BPF_TCP_CLOSE)
		return 0;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	if (newstate == BPF_TCP_SYN_SENT) {
		state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (state)
			stream__opening(sk, state);
		return 0;
	}
	if (newstate == BPF_TCP_ESTABLISHED && oldstate == BPF_TCP_SYN_RECV) {
		state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (state)
			stream__accepted(sk, &state->flow);
		return 0;
	}
	state = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	if (!state || !(state->flow.flags & ACCOUNT_FLOW) || state->flow.flags & ACCOUNT_ENDED)
		return 0;
	if (newstate == BPF_TCP_ESTABLISHED)
		flow__report(&state->flow, FLOW_OPEN);
	else if (oldstate != BPF_TCP_LISTEN)
		flow__report(&state->flow, FLOW_CLOSED);
	return 0;
}

/*
 * An accepted or inherited socket belongs to whoever sends or receives by it. Only then is an
 * accepted one's opening told, with the right process.
 */
static __always_inline void socket__used(struct sock *sk)
{
	struct socket_state *state;
	__u16 family;

	if (!sk)
		return;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return;
	state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state)
		return;
	owner__refresh(state);
	if (state->flow.flags & ACCOUNT_FLOW &&
	    !(state->flow.flags & (ACCOUNT_OPENED | ACCOUNT_ENDED)))
		flow__report(&state->flow, FLOW_OPEN);
}

/* Hook "owner". */
SOCKET_USE_PROGRAMS(network, socket__used)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
