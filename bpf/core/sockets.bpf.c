/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Internet sockets of every network namespace and who owns them. A change of TCP's state, the first
 * use and the release of a socket are told; nothing here runs for a system call that touches no
 * socket. An iterator over the files of all tasks tells the sockets that were there before: unlike
 * the iterators of TCP and UDP, which see their own network namespace only, it finds the sockets of
 * all of them, and with each its holder.
 */
#include "lanes.bpf.h"
#include "core/sockets.h"
#include "socket_use.bpf.h"

#define AF_INET	 2
#define AF_INET6 10
#define ALLOW	 1

/* What is remembered with a socket, so that most of its life needs no event. */
struct socket_memory {
	struct task_key owner;
	__u64 cgroup_id;
	__u64 opened_ns; /* TCP's connection; 0: unknown */
	__u32 tid;
	__u8 told;	/* user space knows it */
	__u8 used;	/* the owner has sent or received */
	__u8 connected; /* by connect() */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_memory);
} socket_memories SEC(".maps");

static __always_inline void memory__set_current(struct socket_memory *memory)
{
	memory->tid = (__u32)bpf_get_current_pid_tgid();
	task_key__read(&memory->owner, (void *)bpf_get_current_task());
	memory->cgroup_id = bpf_get_current_cgroup_id();
}

static __always_inline bool socket__is_internet(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return family == AF_INET || family == AF_INET6;
}

static __always_inline void address__map_v4(__u8 out[16], __u32 address)
{
	__builtin_memset(out, 0, 10);
	out[10] = 0xff;
	out[11] = 0xff;
	__builtin_memcpy(&out[12], &address, sizeof(address));
}

static __always_inline void event__fill(struct socket_state_event *event, struct sock *sk,
					__u8 state)
{
	bool v4 = BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET;

	event->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	event->peer_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (v4) {
		address__map_v4(event->local_address, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		address__map_v4(event->peer_address, BPF_CORE_READ(sk, __sk_common.skc_daddr));
	} else {
		BPF_CORE_READ_INTO(&event->local_address, sk,
				   __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&event->peer_address, sk,
				   __sk_common.skc_v6_daddr.in6_u.u6_addr8);
	}
	event->flags = event->peer_port != 0 && state != SOCKET_LISTENING ? SOCKET_HAS_PEER : 0;
	event->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (event->protocol != IPPROTO_TCP && state == BPF_TCP_CLOSE)
		state = SOCKET_UNCONNECTED;
	event->state = event->old_state = state;
	event->error = 0;
	event->opened_ns = event->sent_bytes = event->received_bytes = 0;
	event->retransmits = event->rtt_us = 0;
	event->net_namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

static __always_inline void header__set_owner(struct event_header *header,
					      const struct socket_memory *memory)
{
	if (!memory)
		return;
	header->tid = memory->tid;
	header->task = memory->owner;
	header->cgroup_id = memory->cgroup_id;
}

static __noinline int socket__tell(struct sock *sk, __u64 cookie,
				   const struct socket_memory *memory, __u8 old_state, __u8 state)
{
	struct socket_state_event *event = event_reserve(LANE_BULK, socket_state_event);

	if (!event)
		return 0;
	header__set_owner(&event->header, memory);
	event->header.socket_cookie = cookie;
	event__fill(event, sk, state);
	if (state != old_state)
		event->old_state = old_state;
	if (memory && memory->connected)
		event->flags |= SOCKET_CONNECTED;
	event_submit(LANE_BULK, event);
	return 0;
}

/* Tells the end of a TCP socket, with its account. */
static __noinline int socket__tell_end(struct sock *sk, __u64 cookie,
				       const struct socket_memory *memory, __u8 old_state)
{
	struct socket_state_event *event = event_reserve(LANE_BULK, socket_state_event);
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	if (!event)
		return 0;
	header__set_owner(&event->header, memory);
	event->header.socket_cookie = cookie;
	event__fill(event, sk, SOCKET_CLOSED);
	event->old_state = old_state;
	/* The port has been given back by now; the packets' one is left. */
	event->local_port = __builtin_bswap16(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	event->error = BPF_CORE_READ(sk, sk_err);
	event->opened_ns = memory ? memory->opened_ns : 0;
	if (memory && memory->connected)
		event->flags |= SOCKET_CONNECTED;
	if (old_state != BPF_TCP_LISTEN) {
		event->sent_bytes =
			BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans);
		/* The kernel counts the peer's FIN with the bytes. */
		event->received_bytes =
			BPF_CORE_READ(tcp, bytes_received) -
			!!(BPF_CORE_READ(sk, __sk_common.skc_flags) & (1UL << SOCK_DONE));
		event->retransmits = BPF_CORE_READ(tcp, total_retrans);
		event->rtt_us = BPF_CORE_READ(tcp, srtt_us) >> 3;
	}
	event_submit(LANE_BULK, event);
	return 0;
}

/* Hook: a raw tracepoint sees every change of TCP's state with the socket at hand. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_changed, struct sock *sk, int old_state, int new_state)
{
	struct socket_memory *memory;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	switch (new_state) {
	case BPF_TCP_SYN_SENT: /* the caller of connect(); the port is chosen later */
	case BPF_TCP_LISTEN:   /* the caller of listen() */
		memory =
			bpf_sk_storage_get(&socket_memories, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (!memory)
			return 0;
		memory__set_current(memory);
		if (new_state == BPF_TCP_SYN_SENT) {
			memory->opened_ns = bpf_ktime_get_boot_ns();
			memory->connected = 1;
			return 0;
		}
		break;
	case BPF_TCP_ESTABLISHED: /* of an accepted one nobody is the owner yet */
		memory =
			bpf_sk_storage_get(&socket_memories, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (memory && !memory->connected)
			memory->opened_ns = bpf_ktime_get_boot_ns();
		break;
	case BPF_TCP_CLOSE:
		memory = bpf_sk_storage_get(&socket_memories, sk, NULL, 0);
		if (!memory || (!memory->told && old_state != BPF_TCP_SYN_SENT))
			return 0;
		memory->told = 0;
		socket__tell_end(sk, bpf_get_socket_cookie(sk), memory, old_state);
		memory->connected = 0;
		return 0;
	default:
		return 0;
	}
	if (!memory)
		return 0;
	memory->told = 1;
	socket__tell(sk, bpf_get_socket_cookie(sk), memory, old_state, new_state);
	return 0;
}

/* A socket is its cookie from the beginning, for whoever tells of it and cannot ask for it. */
SEC("cgroup/sock_create")
int socket_created(struct bpf_sock *sk)
{
	bpf_get_socket_cookie(sk);
	return ALLOW;
}

/* Who binds a socket without TCP's states owns it, long before it is used perhaps. */
static __always_inline int socket__bound(struct bpf_sock *sk, const __u8 address[16])
{
	struct socket_state_event *event;
	struct socket_memory *memory;
	struct task_struct *task;

	if (sk->protocol == IPPROTO_TCP)
		return ALLOW;
	memory = bpf_sk_storage_get(&socket_memories, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!memory)
		return ALLOW;
	memory__set_current(memory);
	memory->told = 1;
	event = event_reserve(LANE_BULK, socket_state_event);
	if (!event)
		return ALLOW;
	__builtin_memset((char *)event + sizeof(event->header), 0,
			 sizeof(*event) - sizeof(event->header));
	header__set_owner(&event->header, memory);
	event->header.socket_cookie = bpf_get_socket_cookie(sk);
	__builtin_memcpy(event->local_address, address, sizeof(event->local_address));
	event->local_port = sk->src_port;
	event->protocol = sk->protocol;
	event->state = event->old_state = SOCKET_UNCONNECTED;
	task = (void *)bpf_get_current_task();
	event->net_namespace = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	event_submit(LANE_BULK, event);
	return ALLOW;
}

SEC("cgroup/post_bind4")
int socket_bound4(struct bpf_sock *sk)
{
	__u8 address[16];

	address__map_v4(address, sk->src_ip4);
	return socket__bound(sk, address);
}

SEC("cgroup/post_bind6")
int socket_bound6(struct bpf_sock *sk)
{
	__u32 words[4] = {sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]};

	return socket__bound(sk, (const __u8 *)words);
}

/* Sockets without TCP's states end here; TCP's are told by their last state. */
SEC("cgroup/sock_release")
int socket_released(struct bpf_sock *sk)
{
	struct socket_state_event *event;
	struct socket_memory *memory;

	if (sk->protocol == IPPROTO_TCP)
		return ALLOW;
	memory = bpf_sk_storage_get(&socket_memories, sk, NULL, 0);
	if (!memory || !memory->told)
		return ALLOW;
	memory->told = 0;
	event = event_reserve(LANE_BULK, socket_state_event);
	if (!event)
		return ALLOW;
	header__set_owner(&event->header, memory);
	event->header.socket_cookie = bpf_get_socket_cookie(sk);
	/* Which one it is says the cookie; what it was has been told. */
	__builtin_memset((char *)event + sizeof(event->header), 0,
			 sizeof(*event) - sizeof(event->header));
	event->protocol = sk->protocol;
	event->state = SOCKET_CLOSED;
	event_submit(LANE_BULK, event);
	return ALLOW;
}

/* The first to send or receive on a socket owns it: the acceptor, not who made the listener. */
static __always_inline void socket__used(struct sock *sk)
{
	struct socket_memory *memory;
	struct task_key known;
	__u8 state;

	if (!sk)
		return;
	/* First what every use after the first one takes. */
	memory = bpf_sk_storage_get(&socket_memories, sk, NULL, 0);
	if (memory && memory->used)
		return;
	if (!socket__is_internet(sk))
		return;
	if (!memory)
		memory =
			bpf_sk_storage_get(&socket_memories, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!memory)
		return;
	memory->used = 1;
	known = memory->owner;
	memory__set_current(memory);
	if (memory->told && known.tgid == memory->owner.tgid &&
	    known.start_ns == memory->owner.start_ns)
		return;
	memory->told = 1;
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	socket__tell(sk, bpf_get_socket_cookie(sk), memory, state, state);
}

/* Hook "socket_owner". */
SOCKET_USE_PROGRAMS(socket, socket__used)

SEC("iter/task_file")
int socket_snapshot(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct socket_state_event event = {};
	struct file *file = ctx->file;
	struct socket_memory *memory;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk || !socket__is_internet(sk))
		return 0;
	header__init(&event.header, LANE_BULK, socket_state_event_id, socket_state_event_version,
		     sizeof(event), 0);
	event.header.tid = task->pid;
	task_key__read(&event.header.task, task);
	event.header.cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	event.header.socket_cookie = bpf_get_socket_cookie(sk);
	event__fill(&event, sk, BPF_CORE_READ(sk, __sk_common.skc_state));
	event.flags |= SOCKET_SNAPSHOT;
	/* From now on its end is told as if it had been seen from its beginning. */
	memory = bpf_sk_storage_get(&socket_memories, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (memory && !memory->told) {
		memory->told = 1;
		memory->used = 1;
		memory->owner = event.header.task;
		memory->cgroup_id = event.header.cgroup_id;
		memory->tid = event.header.tid;
	}
	bpf_seq_write(ctx->meta->seq, &event, sizeof(event));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
