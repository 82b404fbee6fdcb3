// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The payload of TCP sockets, and datagrams that look like DNS, taken at cgroup_skb of the cgroup2
 * root: no other system call pays for it, sendfile, splice and io_uring pass through it as send()
 * does, and packets carry sequence numbers, so that user space knows each gap. Whose bytes they are
 * is told by the socket's send and receive.
 */
#include "lanes.bpf.h"
#include <bpf/bpf_endian.h>
#include "tracing/payload.h"

#define AF_INET		   2
#define AF_INET6	   10
#define IP_FRAGMENT_OFFSET 0x1fff
#define IPPROTO_HOPOPTS	   0
#define IPPROTO_ROUTING	   43
#define IPPROTO_DSTOPTS	   60
/* The kernel itself sends no longer chain of headers before TCP's. */
#define IPV6_EXTENSIONS_MAX 4
/* EDNS allows larger messages; the answer section begins well within. */
#define DATAGRAM_BYTES_MAX 4096
/* The further windows that fill records, for packets far above the common size. */
#define PAYLOAD_STRIDE 4096
#define PAYLOAD_LEAP   (64 << 10)
/* A head is searched this far, in windows of HEAD_STEP bytes and what a name may need beyond. */
#define HEAD_WINDOWS 16
#define HEAD_STEP    128
#define HEAD_NAME    16
/* A verdict is awaited eagerly once a run is this long: few messages are. */
#define PAYLOAD_URGENT (64 << 10)

const volatile struct payload_config config = {
	.run_bytes = 320 << 10, .open_bytes = 16 << 20, .datagrams = 1};

/* RFC 1035, 4.1.1; in network order. */
struct dns_header {
	__u16 id;
	__u16 flags;
	__u16 questions;
	__u16 answers;
	__u16 authorities;
	__u16 additionals;
};

struct socket_state {
	__u32 run_bytes[2]; /* by direction: payload since the other direction last spoke */
	struct task_key owners[2];
	__u8 ignored;
	__u8 followed;	 /* created by the first bytes of a direction */
	__u8 bounded[2]; /* by direction: the message under way is HTTP's, and has no chunks */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} tracing_sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PAYLOAD_VERDICTS);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u64);
	__type(value, __u32);
} verdicts SEC(".maps");

/* Where the protocol's header starts, or -1: another one, a fragment, or a header that cannot be.
 */
__noinline int packet__transport_offset(struct __sk_buff *skb, struct socket_ends *ends,
					bool ingress, __u8 protocol)
{
	__u8 *source, *target;
	__u8 version;

	if (!ends)
		return -1;
	source = ingress ? ends->peer_address : ends->local_address;
	target = ingress ? ends->local_address : ends->peer_address;
	if (bpf_skb_load_bytes(skb, 0, &version, 1))
		return -1;
	if (version >> 4 == 4) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return -1;
		if (ip.protocol != protocol || ip.ihl < 5 ||
		    ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
			return -1;
		source[10] = source[11] = target[10] = target[11] = 0xff;
		__builtin_memcpy(source + 12, &ip.saddr, 4);
		__builtin_memcpy(target + 12, &ip.daddr, 4);
		return ip.ihl * 4;
	}
	if (version >> 4 == 6) {
		struct ipv6hdr ip;
		int offset = sizeof(ip);
		__u8 next;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return -1;
		__builtin_memcpy(source, &ip.saddr, 16);
		__builtin_memcpy(target, &ip.daddr, 16);
		next = ip.nexthdr;
		for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
			struct ipv6_opt_hdr extension;

			if (next == protocol)
				return offset;
			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
			    next != IPPROTO_DSTOPTS)
				return -1;
			if (bpf_skb_load_bytes(skb, offset, &extension, sizeof(extension)))
				return -1;
			next = extension.nexthdr;
			offset += (extension.hdrlen + 1) * 8;
		}
		return next == protocol ? offset : -1;
	}
	return -1;
}

/* One word of the context, each at its own place: joined, the loads would need a computed address.
 */
#define SOCKET_WORD(sk, field)                                                                     \
	({                                                                                         \
		__u32 word__ = (sk)->field;                                                        \
		barrier_var(word__);                                                               \
		word__;                                                                            \
	})

/* The socket's own view of its ends, which address translation of packets does not change. */
static __always_inline void ends__of_socket(struct socket_ends *ends, struct bpf_sock *sk)
{
	__u32 local[4] = {SOCKET_WORD(sk, src_ip6[0]), SOCKET_WORD(sk, src_ip6[1]),
			  SOCKET_WORD(sk, src_ip6[2]), SOCKET_WORD(sk, src_ip6[3])};
	__u32 peer[4] = {SOCKET_WORD(sk, dst_ip6[0]), SOCKET_WORD(sk, dst_ip6[1]),
			 SOCKET_WORD(sk, dst_ip6[2]), SOCKET_WORD(sk, dst_ip6[3])};

	if (sk->family != AF_INET6) {
		local[0] = local[1] = peer[0] = peer[1] = 0;
		local[2] = peer[2] = bpf_htonl(0xffff);
		local[3] = SOCKET_WORD(sk, src_ip4);
		peer[3] = SOCKET_WORD(sk, dst_ip4);
	}
	__builtin_memcpy(ends->local_address, local, 16);
	__builtin_memcpy(ends->peer_address, peer, 16);
}

/* Copies `size` bytes, a constant, from the packet into the record's tail. */
static __always_inline long record__copy(struct bpf_dynptr *record, struct __sk_buff *skb,
					 __u32 offset, __u32 done, __u32 size)
{
	void *window = bpf_dynptr_data(record, sizeof(struct socket_payload_event) + done, size);

	return window ? bpf_skb_load_bytes(skb, offset + done, window, size) : -1;
}

/*
 * Fills the record's tail with `bytes` of the packet from `offset`. The only length that the
 * verifier must know, the last one, does not depend on how many windows were filled: it looks at
 * each window once, not once for each way to get there.
 */
static __always_inline long record__fill(struct bpf_dynptr *record, struct __sk_buff *skb,
					 __u32 offset, __u32 bytes)
{
	__u32 rest = bytes % PAYLOAD_STEP;
	__u32 done = 0;
	void *window;

	for (int i = 0; i < PAYLOAD_BYTES_MAX / PAYLOAD_LEAP; i++) {
		if (bytes - done < PAYLOAD_LEAP)
			break;
		if (record__copy(record, skb, offset, done, PAYLOAD_LEAP))
			return -1;
		done += PAYLOAD_LEAP;
	}
	for (int i = 0; i < PAYLOAD_LEAP / PAYLOAD_STRIDE; i++) {
		if (bytes - done < PAYLOAD_STRIDE)
			break;
		if (record__copy(record, skb, offset, done, PAYLOAD_STRIDE))
			return -1;
		done += PAYLOAD_STRIDE;
	}
	for (int i = 0; i < PAYLOAD_STRIDE / PAYLOAD_STEP; i++) {
		if (bytes - done < PAYLOAD_STEP)
			break;
		if (record__copy(record, skb, offset, done, PAYLOAD_STEP))
			return -1;
		done += PAYLOAD_STEP;
	}
	/* One less than the length: kernel 6.1 learns nothing from a test for zero. */
	rest--;
	barrier_var(rest);
	if (rest >= PAYLOAD_STEP - 1)
		return 0;
	window = bpf_dynptr_data(record, sizeof(struct socket_payload_event) + done, PAYLOAD_STEP);
	return window ? bpf_skb_load_bytes(skb, offset + done, window, rest + 1) : -1;
}

/* `urgent`: the reader shall not wait for its timer. */
__noinline int payload__send(struct __sk_buff *skb, const struct socket_payload_event *seen,
			     __u32 offset, bool urgent)
{
	__u64 sequence = lane__next_sequence(LANE_BULK);
	struct socket_payload_event *event;
	struct bpf_dynptr record;
	__u32 size;

	if (!seen)
		return 0;
	size = sizeof(*seen) +
	       (seen->captured_bytes + PAYLOAD_STEP - 1) / PAYLOAD_STEP * PAYLOAD_STEP;
	lane__count(LANE_BULK, socket_payload_event_id, offered);
	if (lane__reserve(LANE_BULK, size, &record)) {
		lane__count(LANE_BULK, socket_payload_event_id, ring_full);
		return 0;
	}
	event = bpf_dynptr_data(&record, 0, sizeof(*event));
	if (!event || record__fill(&record, skb, offset, seen->captured_bytes)) {
		lane__count(LANE_BULK, socket_payload_event_id, fault);
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 0;
	}
	*event = *seen;
	header__init(&event->header, LANE_BULK, socket_payload_event_id,
		     socket_payload_event_version, size, sequence);
	event->header.socket_cookie = bpf_get_socket_cookie(skb);
	bpf_ringbuf_submit_dynptr(&record,
				  urgent ? BPF_RB_FORCE_WAKEUP : lane__flags(LANE_BULK, size));
	return 0;
}

enum head_kind {
	HEAD_NONE,    /* the payload does not begin like a message of HTTP */
	HEAD_BOUNDED, /* ... or does, and its body has no chunks */
	HEAD_OPEN,    /* ... or may be chunked */
};

struct head_search {
	struct __sk_buff *skb;
	__u32 offset;
	enum head_kind kind;
};

/* One window of a head; 1 ends the search. A callback, as the verifier then looks at one only. */
static long head__search(__u32 index, struct head_search *search)
{
	__u8 window[HEAD_STEP + HEAD_NAME] = {};
	__u32 offset = search->offset + index * HEAD_STEP;
	__u32 rest;

	if (offset >= search->skb->len)
		return 1;
	rest = search->skb->len - offset;
	if (rest >= sizeof(window)) {
		if (bpf_skb_load_bytes(search->skb, offset, window, sizeof(window)))
			return 1;
	} else {
		/* As in record__fill(). */
		rest--;
		barrier_var(rest);
		if (rest >= sizeof(window) - 1 ||
		    bpf_skb_load_bytes(search->skb, offset, window, rest + 1))
			return 1;
	}
	for (int i = 0; i < HEAD_STEP; i++) {
		if (window[i] != '\n')
			continue;
		if (window[i + 1] == '\r' || window[i + 1] == '\n') {
			search->kind = HEAD_BOUNDED;
			return 1;
		}
		/* Transfer-Encoding, or one that is as good as never there. */
		if ((window[i + 1] | 0x20) == 't' && (window[i + 2] | 0x20) == 'r' &&
		    window[i + 9] == '-')
			return 1;
	}
	return 0;
}

/*
 * What a head says of the body that follows. Only how much is told at most hangs on it: what the
 * bytes are, user space finds out.
 */
__noinline enum head_kind packet__head_kind(struct __sk_buff *skb, __u32 offset)
{
	struct head_search search = {.skb = skb, .offset = offset, .kind = HEAD_OPEN};
	__u8 first[4];

	if (bpf_skb_load_bytes(skb, offset, first, sizeof(first)))
		return HEAD_NONE;
	/* Versions and the methods in use begin with three capitals. */
	for (int i = 0; i < 3; i++) {
		if (first[i] < 'A' || first[i] > 'Z')
			return HEAD_NONE;
	}
	if (first[0] == 'G' && first[1] == 'E' && first[2] == 'T' && first[3] == ' ')
		return HEAD_BOUNDED;
	bpf_loop(HEAD_WINDOWS, head__search, &search, 0);
	return search.kind;
}

/* How much of the packet is told: all, or what is left of the run. */
static __always_inline __u32 state__grant(struct socket_state *state, __u32 direction, bool whole,
					  __u32 run_bytes, __u32 bytes)
{
	__u32 before = state->run_bytes[direction & 1];

	state->run_bytes[(direction ^ 1) & 1] = 0;
	/* Saturates: a run may be longer than 4 GiB. */
	state->run_bytes[direction & 1] = before + bytes < before ? (__u32)-1 : before + bytes;
	if (bytes > PAYLOAD_BYTES_MAX)
		bytes = PAYLOAD_BYTES_MAX;
	if (whole)
		return bytes;
	if (before >= run_bytes)
		return 0;
	return bytes < run_bytes - before ? bytes : run_bytes - before;
}

/*
 * Whether bytes begin like a DNS message that asks or answers one question (RFC 9619): of what else
 * there is, one datagram in a million does. Ports say less: resolvers and servers choose them.
 */
static __always_inline bool dns__is_header(const struct dns_header *header)
{
	__u16 flags = bpf_ntohs(header->flags);

	return header->questions == bpf_htons(1) && !(flags & 0x0040) && (flags >> 11 & 0xf) <= 6 &&
	       bpf_ntohs(header->answers) < 4096 && bpf_ntohs(header->authorities) < 4096 &&
	       bpf_ntohs(header->additionals) < 256;
}

/* What is told of a datagram whose header is at `offset`. Where its message starts, or -1. */
__noinline int datagram__read(struct __sk_buff *skb, struct socket_payload_event *seen, int offset)
{
	struct {
		struct udphdr udp;
		struct dns_header dns;
	} header;
	bool ingress;

	if (!seen)
		return -1;
	ingress = seen->direction == PAYLOAD_RECEIVED;
	if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)) ||
	    !dns__is_header(&header.dns))
		return -1;
	offset += sizeof(header.udp);
	seen->flags = PAYLOAD_DATAGRAM;
	seen->payload_bytes = skb->len - offset;
	seen->captured_bytes =
		seen->payload_bytes < DATAGRAM_BYTES_MAX ? seen->payload_bytes : DATAGRAM_BYTES_MAX;
	seen->ends.local_port = bpf_ntohs(ingress ? header.udp.dest : header.udp.source);
	seen->ends.peer_port = bpf_ntohs(ingress ? header.udp.source : header.udp.dest);
	return offset;
}

static __always_inline void payload__take(struct __sk_buff *skb, enum payload_direction direction)
{
	struct socket_payload_event seen = {.direction = direction};
	struct socket_state *state = NULL;
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tcp;
	struct tcphdr header;
	bool whole = false, open, urgent = false;
	__u32 before;
	int offset;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	if (sk->protocol == IPPROTO_TCP && sk->state != BPF_TCP_LISTEN) {
		state = bpf_sk_storage_get(&tracing_sockets, sk, NULL, 0);
		if (state && state->ignored)
			return;
	} else if (sk->protocol != IPPROTO_TCP &&
		   (sk->protocol != IPPROTO_UDP || !config.datagrams)) {
		return;
	}

	offset = packet__transport_offset(skb, &seen.ends, direction == PAYLOAD_RECEIVED,
					  sk->protocol);
	if (offset < 0)
		return;
	if (sk->protocol == IPPROTO_UDP) {
		offset = datagram__read(skb, &seen, offset);
		if (offset < 0)
			return;
		/* With it, its owner is told from now on. */
		bpf_sk_storage_get(&tracing_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		payload__send(skb, &seen, offset, false);
		return;
	}
	if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header)))
		return;
	offset += header.doff * 4;
	if (header.doff < 5 || offset > skb->len)
		return;
	seen.payload_bytes = skb->len - offset;
	/* Fast Open's data in a SYN is not followed: the server's side of it has no connection yet.
	 */
	if (header.syn || (!seen.payload_bytes && !header.fin && !header.rst))
		return;
	seen.tcp_sequence = bpf_ntohl(header.seq);
	seen.tcp_ack = bpf_ntohl(header.ack_seq);
	seen.flags = (header.fin ? PAYLOAD_FIN : 0) | (header.rst ? PAYLOAD_RST : 0);

	if (sk->state == BPF_TCP_LISTEN) {
		if (!seen.payload_bytes)
			return;
		seen.flags |= PAYLOAD_LISTENER;
		seen.ends.local_port =
			bpf_ntohs(direction == PAYLOAD_RECEIVED ? header.dest : header.source);
		seen.ends.peer_port =
			bpf_ntohs(direction == PAYLOAD_RECEIVED ? header.source : header.dest);
		seen.captured_bytes = seen.payload_bytes < PAYLOAD_BYTES_MAX ? seen.payload_bytes
									     : PAYLOAD_BYTES_MAX;
		payload__send(skb, &seen, offset, false);
		return;
	}

	tcp = bpf_tcp_sock(sk);
	if (!tcp)
		return;
	if (seen.payload_bytes) {
		__u32 next = direction == PAYLOAD_RECEIVED ? tcp->rcv_nxt : tcp->snd_nxt;

		/* Retransmitted: its bytes are behind what the socket has sent or received already.
		 */
		if ((__s32)(seen.tcp_sequence + seen.payload_bytes - next) <= 0 && !header.fin) {
			lane__count(LANE_BULK, socket_payload_event_id, offered);
			lane__count(LANE_BULK, socket_payload_event_id, filtered);
			return;
		}
		if ((__s32)(seen.tcp_sequence - next) <= 0)
			seen.flags |= PAYLOAD_IN_ORDER;
		if (direction == PAYLOAD_RECEIVED) {
			if (tcp->bytes_received == 0 && seen.tcp_sequence == next)
				seen.flags |=
					PAYLOAD_FIRST | (tcp->data_segs_out ? 0 : PAYLOAD_OPENING);
		} else {
			/* The kernel has counted this packet's segments already. */
			__u32 segments = skb->gso_segs;

			if (tcp->data_segs_out == (segments ? segments : 1))
				seen.flags |=
					PAYLOAD_FIRST | (tcp->bytes_received ? 0 : PAYLOAD_OPENING);
		}
	} else if (!state) {
		/* The end of a connection that never carried anything. */
		return;
	}

	if (!state) {
		state = bpf_sk_storage_get(&tracing_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (state)
			state->followed = !!(seen.flags & PAYLOAD_FIRST);
	}
	if (state) {
		__u64 cookie = bpf_get_socket_cookie(skb);
		__u32 *verdict = bpf_map_lookup_elem(&verdicts, &cookie);

		if (verdict && *verdict == PAYLOAD_IGNORE) {
			state->ignored = 1;
			return;
		}
		whole = verdict && *verdict == PAYLOAD_WHOLE;
		if (state->followed)
			seen.flags |= PAYLOAD_FOLLOWED;
		if (seen.payload_bytes) {
			if (!state->run_bytes[direction & 1] && !whole) {
				enum head_kind head = packet__head_kind(skb, offset);

				if (head != HEAD_NONE)
					state->bounded[direction & 1] = head == HEAD_BOUNDED;
			}
			open = !verdict && !state->bounded[direction & 1];
			before = state->run_bytes[direction & 1];
			seen.captured_bytes = state__grant(
				state, direction, whole,
				open ? config.open_bytes : config.run_bytes, seen.payload_bytes);
			urgent = open && before < PAYLOAD_URGENT &&
				 state->run_bytes[direction & 1] >= PAYLOAD_URGENT;
		}
	}
	ends__of_socket(&seen.ends, sk);
	seen.ends.local_port = sk->src_port;
	seen.ends.peer_port = bpf_ntohs(sk->dst_port);
	payload__send(skb, &seen, offset, urgent);
}

SEC("cgroup_skb/ingress")
int payload_received(struct __sk_buff *skb)
{
	payload__take(skb, PAYLOAD_RECEIVED);
	return 1;
}

SEC("cgroup_skb/egress")
int payload_sent(struct __sk_buff *skb)
{
	payload__take(skb, PAYLOAD_SENT);
	return 1;
}

/* Reads through any pointer: of a subflow, the verifier knows nothing. */
static __always_inline void ends__of_sock(struct socket_ends *ends, struct sock *sk)
{
	__builtin_memset(ends, 0, sizeof(*ends));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&ends->local_address, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&ends->peer_address, sk, __sk_common.skc_v6_daddr);
	} else {
		__u32 local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		__u32 peer = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		ends->local_address[10] = ends->local_address[11] = 0xff;
		ends->peer_address[10] = ends->peer_address[11] = 0xff;
		__builtin_memcpy(ends->local_address + 12, &local, 4);
		__builtin_memcpy(ends->peer_address + 12, &peer, 4);
	}
	ends->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	ends->peer_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/*
 * The TCP socket whose packets carry what the task sends and receives on `sk`: itself, or MPTCP's
 * first subflow. One that is spread over several subflows has no stream that could be followed.
 */
static __always_inline struct sock *sock__of_packets(struct sock *sk)
{
	if (sk->sk_protocol != IPPROTO_MPTCP || !bpf_core_type_exists(struct mptcp_sock))
		return sk;
	return BPF_CORE_READ((struct mptcp_sock *)sk, first);
}

/*
 * Tells the task that moved bytes, if it is another one than last time. After the call, not before:
 * a task that waits for bytes on a socket that it shares with others has not received any yet.
 */
static __always_inline int owner__take(struct sock *sk, int bytes, enum payload_direction direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u16 family = sk->__sk_common.skc_family;
	struct socket_owner_event *event;
	struct socket_state *state;
	struct sock *carrier;
	struct task_key *owner;
	bool datagrams;
	__u64 cookie;

	if (bytes <= 0 || (family != AF_INET && family != AF_INET6) ||
	    (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP &&
	     sk->sk_protocol != IPPROTO_UDP))
		return 0;
	datagrams = sk->sk_protocol == IPPROTO_UDP;
	/* Created here too: of a deferred accept, the first bytes were the listener's. UDP sockets
	   are told of only once they have carried DNS. */
	state = bpf_sk_storage_get(&tracing_sockets, sk, NULL,
				   datagrams ? 0 : BPF_SK_STORAGE_GET_F_CREATE);
	if (!state || state->ignored)
		return 0;
	owner = &state->owners[direction];
	if (owner->tgid == (__u32)task->tgid &&
	    owner->start_ns == task->group_leader->start_boottime &&
	    owner->exec_count == (__u32)task->self_exec_id)
		return 0;

	/* A subflow has its cookie from its first packet with payload, which has passed by now. */
	carrier = sock__of_packets(sk);
	cookie = carrier == sk ? bpf_get_socket_cookie(sk)
			       : BPF_CORE_READ(carrier, __sk_common.skc_cookie.counter);
	if (!cookie)
		return 0;
	event = event_reserve(LANE_BULK, socket_owner_event);
	if (!event)
		return 0;
	header__set_current(&event->header);
	event->header.socket_cookie = cookie;
	ends__of_sock(&event->ends, carrier);
	event->direction = direction;
	event->datagrams = datagrams;
	__builtin_memset(event->reserved, 0, sizeof(event->reserved));
	*owner = event->header.task;
	event_submit(LANE_BULK, event);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(owner_sent, struct sock *sk, int bytes, int flags)
{
	return owner__take(sk, bytes, PAYLOAD_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(owner_received, struct sock *sk, int bytes, int flags)
{
	return owner__take(sk, bytes, PAYLOAD_RECEIVED);
}

/* Before those tracepoints (6.3): what every send and receive of an internet socket passes. */
SEC("fexit/inet_sendmsg")
int BPF_PROG(owner_sent_4, struct socket *socket, struct msghdr *message, size_t size, int bytes)
{
	return owner__take(socket->sk, bytes, PAYLOAD_SENT);
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(owner_sent_6, struct socket *socket, struct msghdr *message, size_t size, int bytes)
{
	return owner__take(socket->sk, bytes, PAYLOAD_SENT);
}

SEC("fexit/inet_recvmsg")
int BPF_PROG(owner_received_4, struct socket *socket, struct msghdr *message, size_t size,
	     int flags, int bytes)
{
	return owner__take(socket->sk, bytes, PAYLOAD_RECEIVED);
}

SEC("fexit/inet6_recvmsg")
int BPF_PROG(owner_received_6, struct socket *socket, struct msghdr *message, size_t size,
	     int flags, int bytes)
{
	return owner__take(socket->sk, bytes, PAYLOAD_RECEIVED);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_closed, struct sock *sk, int old_state, int new_state)
{
	struct socket_close_event *event;
	struct socket_state *state;

	if (new_state != BPF_TCP_CLOSE || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	state = bpf_sk_storage_get(&tracing_sockets, sk, NULL, 0);
	if (!state || state->ignored)
		return 0;
	event = event_reserve(LANE_BULK, socket_close_event);
	if (!event)
		return 0;
	event->header.socket_cookie = bpf_get_socket_cookie(sk);
	event_submit(LANE_BULK, event);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
