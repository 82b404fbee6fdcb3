/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A socket and its ends, from the kernel's own structures or from what the caller passed. */
#ifndef TRIVET_SECURITY_SOCKET_BPF_H
#define TRIVET_SECURITY_SOCKET_BPF_H

#include <bpf/bpf_endian.h>
#include "security/tail.bpf.h"

#define AF_UNIX	 1
#define AF_INET	 2
#define AF_INET6 10

#define TCP_ESTABLISHED 1

/* The path of a Unix socket: of `sk` itself, which may be unnamed. Bytes added. */
static __always_inline __u32 socket__add_path(char *tail, __u32 used, struct sock *sk)
{
	struct unix_sock *unix_socket = (void *)sk;
	struct unix_address *address = BPF_CORE_READ(unix_socket, addr);
	__u64 size = (__u32)BPF_CORE_READ(address, len) - sizeof(__u16);

	/* 64 bits wide throughout: the verifier loses a bound that is tested in half a register. */
	asm volatile("" : "+r"(size));
	if (!address || size > CALL_SOCKET_PATH_MAX)
		return 0;
	bpf_probe_read_kernel(tail + tail__bound(used), size,
			      (char *)address->name + sizeof(__u16));
	return size;
}

/* The ends as the kernel has them, and what is known of the socket itself; bytes of path added. */
static __noinline __u32 socket__read(struct call_scratch *scratch, __u32 used, struct sock *sk)
{
	struct syscall_event *event = &scratch->event;
	struct call_socket *out = &scratch->socket;
	__u32 path = 0;

	__builtin_memset(out, 0, sizeof(*out));
	out->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	out->type = BPF_CORE_READ(sk, sk_type);
	out->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (out->family == AF_INET || out->family == AF_INET6) {
		out->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
		out->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		if (out->remote_port)
			event->flags |= CALL_SOCKET_CONNECTED;
		if (out->family == AF_INET) {
			BPF_CORE_READ_INTO((__be32 *)out->local, sk, __sk_common.skc_rcv_saddr);
			BPF_CORE_READ_INTO((__be32 *)out->remote, sk, __sk_common.skc_daddr);
		} else {
			BPF_CORE_READ_INTO((struct in6_addr *)out->local, sk,
					   __sk_common.skc_v6_rcv_saddr);
			BPF_CORE_READ_INTO((struct in6_addr *)out->remote, sk,
					   __sk_common.skc_v6_daddr);
		}
	} else if (out->family == AF_UNIX) {
		struct unix_sock *unix_socket = (void *)sk;
		struct sock *peer = BPF_CORE_READ(unix_socket, peer);

		if (peer) {
			event->flags |= CALL_SOCKET_CONNECTED;
			path = socket__add_path(scratch->tail, used, peer);
		}
		if (!path)
			path = socket__add_path(scratch->tail, used, sk);
	}
	return path;
}

/* The peer that the caller passed, if it is of the socket's family; bytes of path added. */
static __noinline __u32 socket__read_caller(struct call_scratch *scratch, __u32 used, __u64 address,
					    __u64 size)
{
	struct call_socket *out = &scratch->socket;
	union {
		__u16 family;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer = {};

	asm volatile("" : "+r"(size));
	if (size > sizeof(peer))
		size = sizeof(peer);
	if (bpf_probe_read_user(&peer, size, (const void *)address) || peer.family != out->family)
		return 0;
	if (peer.family == AF_INET) {
		out->remote_port = bpf_ntohs(peer.in.sin_port);
		__builtin_memcpy(out->remote, &peer.in.sin_addr, 4);
	} else if (peer.family == AF_INET6) {
		out->remote_port = bpf_ntohs(peer.in6.sin6_port);
		__builtin_memcpy(out->remote, &peer.in6.sin6_addr, 16);
	} else if (peer.family == AF_UNIX) {
		long length =
			bpf_probe_read_user_str(scratch->tail + tail__bound(used),
						CALL_SOCKET_PATH_MAX, (const void *)(address + 2));

		return length > 0 ? length - 1 : 0;
	}
	return 0;
}

#endif /* TRIVET_SECURITY_SOCKET_BPF_H */
