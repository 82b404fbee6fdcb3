// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The payload of Unix stream sockets, where it is asked for, by the events of payload.h: without
 * addresses, and with counts of bytes in the place of TCP's sequence numbers. No packets carry it,
 * so it is read from the caller's own memory, at the end of the call that sent or received it: the
 * arguments are still there, the bytes have just been used, and other system calls cost nothing.
 * What has no such memory (sendfile, splice, io_uring, sendmmsg, 32-bit calls) is told by its
 * length.
 */
#include "lanes.bpf.h"
#include "tracing/payload.h"

#define AF_UNIX	       1
#define SOCK_STREAM    1
#define MSG_PEEK       2
#define ECONNRESET     104
#define PF_IO_WORKER   0x00000010
#define PF_KTHREAD     0x00200000
#define USER_CS_32     0x23
#define UNIX_PIECE     (16 << 10) /* bytes in one event */
#define UNIX_STRIDE    4096
#define UNIX_PIECES    1024 /* of one call; its last bytes are told by their length */
#define UNIX_VECTORS   1024 /* UIO_MAXIOV */
#define UNIX_FRESH_MAX 4096

/* x86-64's numbers; each call has its buffer or its vectors in the second argument. */
enum unix_call {
	CALL_READ = 0,
	CALL_WRITE = 1,
	CALL_READV = 19,
	CALL_WRITEV = 20,
	CALL_SENDTO = 44,
	CALL_RECVFROM = 45,
	CALL_SENDMSG = 46,
	CALL_RECVMSG = 47,
};

const volatile struct payload_config config = {.run_bytes = 320 << 10, .open_bytes = 16 << 20};

struct unix_state {
	__u32 bytes[2];	    /* by direction, as all below */
	__u32 run_bytes[2]; /* since the other direction last spoke */
	struct task_key owners[2];
	__u8 ignored;
	__u8 followed;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unix_state);
} unix_sockets SEC(".maps");

/* Sockets whose other end is known to be new. One that is forgotten counts as found half-way. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, UNIX_FRESH_MAX);
	__type(key, __u64); /* address of the socket */
	__type(value, __u8);
} unix_fresh SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PAYLOAD_VERDICTS);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u64);
	__type(value, __u32);
} unix_verdicts SEC(".maps");

/*
 * Since when these programs are attached, CLOCK_BOOTTIME; 0: not yet. Of connections of processes
 * that began later all bytes are told.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, __u64);
} unix_attached SEC(".maps");

struct unix_vector {
	__u64 base;
	__u64 bytes;
};

/* One call's way through the caller's memory. */
struct unix_pass {
	struct socket_payload_event seen;
	__u64 cookie;
	__u64 vectors; /* address of the next one */
	__u32 vectors_left;
	__u32 grant; /* how many of the bytes are wanted */
	__u32 left;
	struct unix_vector piece; /* what is left of the vector at hand */
};

static __always_inline long piece__copy(struct bpf_dynptr *record, __u64 from, __u32 done,
					__u32 size)
{
	void *window = bpf_dynptr_data(record, sizeof(struct socket_payload_event) + done, size);

	return window ? bpf_probe_read_user(window, size, (void *)(from + done)) : -1;
}

/* As record__fill() of payload.bpf.c. */
static __always_inline long piece__fill(struct bpf_dynptr *record, __u64 from, __u32 bytes)
{
	__u32 rest = bytes % PAYLOAD_STEP, done = 0;
	void *window;

	for (int i = 0; i < UNIX_PIECE / UNIX_STRIDE; i++) {
		if (bytes - done < UNIX_STRIDE)
			break;
		if (piece__copy(record, from, done, UNIX_STRIDE))
			return -1;
		done += UNIX_STRIDE;
	}
	for (int i = 0; i < UNIX_STRIDE / PAYLOAD_STEP; i++) {
		if (bytes - done < PAYLOAD_STEP)
			break;
		if (piece__copy(record, from, done, PAYLOAD_STEP))
			return -1;
		done += PAYLOAD_STEP;
	}
	rest--;
	barrier_var(rest);
	if (rest >= PAYLOAD_STEP - 1)
		return 0;
	window = bpf_dynptr_data(record, sizeof(struct socket_payload_event) + done, PAYLOAD_STEP);
	return window ? bpf_probe_read_user(window, rest + 1, (void *)(from + done)) : -1;
}

/* Global: the kernel checks it once, not for each state of the loop that calls it. */
__noinline int piece__send(const struct unix_pass *pass, __u64 from)
{
	__u64 sequence = lane__next_sequence(LANE_BULK);
	struct socket_payload_event *event;
	struct bpf_dynptr record;
	__u32 captured, size;

	if (!pass)
		return 0;
	captured = pass->seen.captured_bytes;
	if (captured > UNIX_PIECE)
		return 0;
	size = sizeof(*event) + (captured + PAYLOAD_STEP - 1) / PAYLOAD_STEP * PAYLOAD_STEP;
	lane__count(LANE_BULK, socket_payload_event_id, offered);
	if (lane__reserve(LANE_BULK, size, &record)) {
		lane__count(LANE_BULK, socket_payload_event_id, ring_full);
		return 0;
	}
	event = bpf_dynptr_data(&record, 0, sizeof(*event));
	if (!event || piece__fill(&record, from, captured)) {
		lane__count(LANE_BULK, socket_payload_event_id, fault);
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 0;
	}
	*event = pass->seen;
	header__init(&event->header, LANE_BULK, socket_payload_event_id,
		     socket_payload_event_version, size, sequence);
	event->header.socket_cookie = pass->cookie;
	bpf_ringbuf_submit_dynptr(&record, lane__flags(LANE_BULK, size));
	return 0;
}

/* Tells the next piece; 1 ends the pass. */
static long pass__step(__u32 index, struct unix_pass *pass)
{
	__u32 bytes;

	if (!pass->left || !pass->grant)
		return 1;
	if (!pass->piece.bytes) {
		if (!pass->vectors_left ||
		    bpf_probe_read_user(&pass->piece, sizeof(pass->piece), (void *)pass->vectors))
			return 1;
		pass->vectors += sizeof(pass->piece);
		pass->vectors_left--;
		return 0;
	}
	bytes = pass->piece.bytes < UNIX_PIECE ? pass->piece.bytes : UNIX_PIECE;
	if (bytes > pass->left)
		bytes = pass->left;
	if (bytes > pass->grant)
		bytes = pass->grant;
	pass->seen.payload_bytes = bytes;
	pass->seen.captured_bytes = bytes;
	piece__send(pass, pass->piece.base);
	pass->seen.flags &= ~(PAYLOAD_FIRST | PAYLOAD_OPENING);
	pass->seen.tcp_sequence += bytes;
	pass->piece.base += bytes;
	pass->piece.bytes -= bytes;
	pass->left -= bytes;
	pass->grant -= bytes;
	return 0;
}

/* Where the bytes of the caller's system call are. */
static __always_inline void pass__find(struct unix_pass *pass, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct {
		__u64 name, name_bytes;
		struct unix_vector vectors; /* their address, and how many */
	} message;
	__u64 second;

	if (task->flags & (PF_KTHREAD | PF_IO_WORKER) || BPF_CORE_READ(regs, cs) == USER_CS_32)
		return;
	second = BPF_CORE_READ(regs, si);
	switch (BPF_CORE_READ(regs, orig_ax)) {
	case CALL_READ:
	case CALL_WRITE:
	case CALL_SENDTO:
	case CALL_RECVFROM:
		pass->piece.base = second;
		pass->piece.bytes = pass->left;
		return;
	case CALL_READV:
	case CALL_WRITEV:
		pass->vectors = second;
		pass->vectors_left = BPF_CORE_READ(regs, dx);
		return;
	case CALL_SENDMSG:
	case CALL_RECVMSG:
		if (bpf_probe_read_user(&message, sizeof(message), (void *)second))
			return;
		pass->vectors = message.vectors.base;
		pass->vectors_left =
			message.vectors.bytes < UNIX_VECTORS ? message.vectors.bytes : UNIX_VECTORS;
		return;
	}
}

static __always_inline __u64 sock__cookie(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

static __always_inline void close__send(__u64 cookie)
{
	struct socket_close_event *event;

	if (!cookie)
		return;
	event = event_reserve(LANE_BULK, socket_close_event);
	if (!event)
		return;
	event->header.socket_cookie = cookie;
	event_submit(LANE_BULK, event);
}

/*
 * A closed socket says nothing more itself; its peer learns it by reading. Such a reader has seen
 * all there was.
 */
static __always_inline void end__take(struct sock *sk, struct unix_state *state)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	struct unix_pass pass = {};

	if (!peer || BPF_CORE_READ(peer, __sk_common.skc_state) != BPF_TCP_CLOSE)
		return;
	pass.cookie = bpf_get_socket_cookie(sk);
	pass.seen.direction = PAYLOAD_RECEIVED;
	pass.seen.flags = PAYLOAD_FIN | PAYLOAD_IN_ORDER;
	pass.seen.tcp_sequence = state->bytes[PAYLOAD_RECEIVED];
	pass.seen.tcp_ack = state->bytes[PAYLOAD_SENT];
	piece__send(&pass, 0);
	close__send(pass.cookie);
	close__send(sock__cookie(peer));
	state->ignored = 1;
}

static __always_inline void owner__tell(struct unix_state *state, struct task_struct *task,
					__u64 cookie, __u32 direction)
{
	struct task_key *owner = &state->owners[direction & 1];
	struct socket_owner_event *event;

	if (owner->tgid == (__u32)task->tgid &&
	    owner->start_ns == task->group_leader->start_boottime &&
	    owner->exec_count == (__u32)task->self_exec_id)
		return;
	event = event_reserve(LANE_BULK, socket_owner_event);
	if (!event)
		return;
	header__set_current(&event->header);
	event->header.socket_cookie = cookie;
	__builtin_memset(&event->ends, 0, sizeof(event->ends));
	event->direction = direction;
	event->datagrams = 0;
	__builtin_memset(event->reserved, 0, sizeof(event->reserved));
	*owner = event->header.task;
	event_submit(LANE_BULK, event);
}

/*
 * Whether the socket can have carried nothing before: it belongs to a process that is younger than
 * these programs, or is connected to one that does.
 */
static __always_inline bool sock__is_fresh(struct sock *sk, struct task_struct *task)
{
	__u64 self = (__u64)sk, peer = (__u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
	__u64 *attached_ns;
	__u32 zero = 0;
	__u8 one = 1;

	if (bpf_map_delete_elem(&unix_fresh, &self) == 0)
		return true;
	attached_ns = bpf_map_lookup_elem(&unix_attached, &zero);
	if (!attached_ns || !*attached_ns || task->group_leader->start_boottime < *attached_ns)
		return false;
	if (peer)
		bpf_map_update_elem(&unix_fresh, &peer, &one, BPF_ANY);
	return true;
}

static __always_inline int stream__take(struct sock *sk, int bytes, bool peeked,
					enum payload_direction direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct unix_pass pass = {.seen = {.direction = direction}};
	struct unix_state *state;
	__u32 before, limit, *verdict;

	if (sk->__sk_common.skc_family != AF_UNIX || sk->sk_type != SOCK_STREAM || peeked)
		return 0;
	state = bpf_sk_storage_get(&unix_sockets, sk, NULL, 0);
	if (bytes <= 0) {
		if (state && !state->ignored && direction == PAYLOAD_RECEIVED &&
		    (bytes == 0 || bytes == -ECONNRESET))
			end__take(sk, state);
		return 0;
	}
	if (!state) {
		state = bpf_sk_storage_get(&unix_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
		if (!state)
			return 0;
		state->followed = sock__is_fresh(sk, task);
	}
	if (state->ignored)
		return 0;
	pass.cookie = bpf_get_socket_cookie(sk);
	verdict = bpf_map_lookup_elem(&unix_verdicts, &pass.cookie);
	if (verdict && *verdict == PAYLOAD_IGNORE) {
		state->ignored = 1;
		return 0;
	}
	owner__tell(state, task, pass.cookie, direction);

	before = state->run_bytes[direction & 1];
	limit = verdict ? *verdict == PAYLOAD_WHOLE ? (__u32)-1 : config.run_bytes
			: config.open_bytes;
	state->run_bytes[(direction ^ 1) & 1] = 0;
	state->run_bytes[direction & 1] = before + bytes < before ? (__u32)-1 : before + bytes;
	pass.left = bytes;
	pass.grant = before >= limit ? 0 : limit - before;
	if (limit == (__u32)-1)
		pass.grant = bytes;

	pass.seen.tcp_sequence = state->bytes[direction & 1];
	pass.seen.tcp_ack = state->bytes[(direction ^ 1) & 1];
	pass.seen.flags = PAYLOAD_IN_ORDER;
	if (state->followed) {
		pass.seen.flags |= PAYLOAD_FOLLOWED;
		if (!pass.seen.tcp_sequence)
			pass.seen.flags |=
				PAYLOAD_FIRST | (pass.seen.tcp_ack ? 0 : PAYLOAD_OPENING);
	}
	state->bytes[direction & 1] += bytes;

	pass__find(&pass, task);
	bpf_loop(UNIX_PIECES, pass__step, &pass, 0);
	if (pass.left) {
		pass.seen.payload_bytes = pass.left;
		pass.seen.captured_bytes = 0;
		piece__send(&pass, 0);
	}
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(unix_sent, struct sock *sk, int bytes, int flags)
{
	return stream__take(sk, bytes, false, PAYLOAD_SENT);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(unix_received, struct sock *sk, int bytes, int flags)
{
	return stream__take(sk, bytes, flags & MSG_PEEK, PAYLOAD_RECEIVED);
}

/* Before those tracepoints (6.3). */
SEC("fexit/unix_stream_sendmsg")
int BPF_PROG(unix_sent_fexit, struct socket *socket, struct msghdr *message, size_t size, int bytes)
{
	return stream__take(socket->sk, bytes, false, PAYLOAD_SENT);
}

SEC("fexit/unix_stream_recvmsg")
int BPF_PROG(unix_received_fexit, struct socket *socket, struct msghdr *message, size_t size,
	     int flags, int bytes)
{
	return stream__take(socket->sk, bytes, flags & MSG_PEEK, PAYLOAD_RECEIVED);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
