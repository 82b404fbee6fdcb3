/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hooks that see a task send or receive on an internet socket. Each program of an object calls
 * used(struct sock *), whose argument may be NULL, in the task's context.
 */
#ifndef TRIVET_SOCKET_USE_BPF_H
#define TRIVET_SOCKET_USE_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define SOCKET_USE_TRACEPOINT(program, tracepoint, used)                                           \
	SEC("tp_btf/" tracepoint)                                                                  \
	int BPF_PROG(program, struct sock *sk)                                                     \
	{                                                                                          \
		used(sk);                                                                          \
		return 0;                                                                          \
	}

#define SOCKET_USE_FUNCTION(program, function, used)                                               \
	SEC("fentry/" function)                                                                    \
	int BPF_PROG(program, struct socket *socket)                                               \
	{                                                                                          \
		used(socket->sk);                                                                  \
		return 0;                                                                          \
	}

/* Tier one: newer than 6.1, and free for everybody who sends nothing. Tier two: where those
 * tracepoints do not exist. */
#define SOCKET_USE_PROGRAMS(prefix, used)                                                          \
	SOCKET_USE_TRACEPOINT(prefix##_sent, "sock_send_length", used)                             \
	SOCKET_USE_TRACEPOINT(prefix##_received, "sock_recv_length", used)                         \
	SOCKET_USE_FUNCTION(prefix##_inet_sendmsg, "inet_sendmsg", used)                           \
	SOCKET_USE_FUNCTION(prefix##_inet6_sendmsg, "inet6_sendmsg", used)                         \
	SOCKET_USE_FUNCTION(prefix##_inet_recvmsg, "inet_recvmsg", used)                           \
	SOCKET_USE_FUNCTION(prefix##_inet6_recvmsg, "inet6_recvmsg", used)

#endif /* TRIVET_SOCKET_USE_BPF_H */
