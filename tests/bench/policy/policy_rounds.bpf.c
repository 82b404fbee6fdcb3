// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The shipped programs, and what a run without a real socket cannot reach of them: packets of a
 * connection that was judged. Its state is the storage of the socket that the run makes up.
 */
#include "network/policy.bpf.c"

SEC("cgroup_skb/ingress")
int bench_empty(struct __sk_buff *skb)
{
	return PASS;
}

SEC("cgroup_skb/ingress")
int bench_established(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct socket_state *state;

	if (!sk)
		return PASS;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return PASS;
	state = bpf_sk_storage_get(&sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state)
		return PASS;
	if (!state->flow.first_ns) {
		flow__begin(&state->flow, IPPROTO_TCP, FLOW_INGRESS, bpf_ktime_get_boot_ns());
		state->flow.flags |= ACCOUNT_TUPLE;
	}
	return packet__verdict(stream__packet(skb, state, false));
}
