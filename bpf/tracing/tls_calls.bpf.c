// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Text above TLS, taken where a program hands it to its library and gets it from there. Which
 * socket carries it is what the task sends and receives within such a call; what a library's
 * structures look like need not be known.
 */
#include "lanes.bpf.h"
#include <bpf/bpf_endian.h>
#include "tracing/payload.h"
#include "tracing/tls_calls.h"

#define AF_INET	 2
#define AF_INET6 10
#define VM_EXEC	 0x4

/* A session above another one, of a proxy that is spoken to by TLS; and what a callback may add. */
#define CALLS_MAX 3
/* A call's text goes up in records of at most this size. */
#define TEXT_CHUNK   (16 << 10)
#define TEXT_STRIDE  1024
#define TEXT_CHUNKS  (PAYLOAD_BYTES_MAX / TEXT_CHUNK)
#define SESSIONS_MAX 65536
/* Of one record of TLS: header, tag and what else there is, of 1.3; of 1.2 with ChaCha20, with GCM.
 */
#define RECORD_TEXT   (16 << 10)
#define RECORD_NEWER  22
#define RECORD_CHACHA 21
#define RECORD_GCM    29
#define STASH_BYTES   4096
/* A client's Finished in 1.3, by the two lengths of digests in use, and the record before it. */
#define FINISHED_SHORT 58
#define FINISHED_LONG  74
#define CHANGE_CIPHER  6
/* How often a file is tried that is mapped, but whose code does not run there. */
#define TRY_PAUSE_NS 1000000000ULL

const volatile struct tls_config config = {.run_bytes = 320 << 10, .open_bytes = 1 << 20};

struct call {
	__u64 session; /* the library's object, by address */
	__u64 buffer;
	__u64 bytes_at; /* where the library puts the number of bytes; 0: it returns it */
	__u64 stack;	/* where the return address is: calls end inside out */
	__u32 function; /* enum tls_function */
	__u32 reserved;
};

/* What the task last received outside of a call, on a socket that is not known to carry a session.
 */
struct receipt {
	__u64 cookie;
	struct socket_ends ends;
	__u32 bytes; /* 0: a call has had its chance to use them */
	__u8 used;   /* by a session: the socket carries it */
	__u8 reserved[7];
};

struct call_stack {
	struct call calls[CALLS_MAX];
	struct receipt receipt;
	__u32 depth;
};

struct session_key {
	__u64 session;
	__u32 tgid;
	__u32 reserved;
};

/* Text that was written of a session whose socket is not known, until the task sends it. */
struct stash {
	__u64 session; /* 0: none */
	__u32 bytes;
	__u32 kept;    /* of them, those in `text` */
	__u32 records; /* that the library makes of them */
	__u32 reserved;
	__u8 text[STASH_BYTES];
};

struct session {
	__u64 cookie; /* 0: not known yet */
	struct socket_ends ends;
	__u32 next[2];	    /* by direction: sequence number of the next byte of text */
	__u32 run_bytes[2]; /* by direction: text since the other direction last spoke */
	__u8 followed;	    /* since its first byte */
	__u8 ignored;
	__u8 ended[2]; /* by direction: no more text comes */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call_stack);
} tls_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct stash);
} tls_stashes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SESSIONS_MAX);
	__type(key, struct session_key);
	__type(value, struct session);
} tls_sessions SEC(".maps");

/* Sockets that carry a session: their end is told. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u8);
} tls_sockets SEC(".maps");

/* As `verdicts` of the payload below. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PAYLOAD_VERDICTS);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, __u64);
	__type(value, __u32);
} text_verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, TLS_FILES_MAX);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__type(key, struct tls_file);
	__type(value, __u32); /* enum tls_file_kind */
} known_files SEC(".maps");

/* When a file was last told of, or seen in use, CLOCK_BOOTTIME. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TLS_FILES_MAX);
	__type(key, struct tls_file);
	__type(value, __u64);
} used_files SEC(".maps");

struct try_key {
	__u64 mapping; /* the file, by address */
	__u64 page;    /* of the code that reads it */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct try_key);
	__type(value, __u64);
} tries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TLS_LOSS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} tls_losses SEC(".maps");

static __always_inline void loss__count(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&tls_losses, &what);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* ---- files with code ---- */

static __always_inline void file__key(struct tls_file *key, struct inode *inode)
{
	key->inode = BPF_CORE_READ(inode, i_ino);
	key->device = BPF_CORE_READ(inode, i_sb, s_dev);
	key->generation = BPF_CORE_READ(inode, i_generation);
}

/* Tells of a file that `task` runs code of at `address`, unless it is known or was told just now.
 */
static __always_inline void file__tell(const struct tls_file *key, struct task_struct *task,
				       __u64 address)
{
	__u64 *told = bpf_map_lookup_elem(&used_files, key);
	__u64 now = bpf_ktime_get_boot_ns();
	struct tls_file_event *event;

	if (told && now - *told < TRY_PAUSE_NS)
		return;
	bpf_map_update_elem(&used_files, key, &now, BPF_ANY);
	event = event_reserve(LANE_CANDIDATE, tls_file_event);
	if (!event)
		return;
	event->header.tid = BPF_CORE_READ(task, pid);
	task_key__read(&event->header.task, task);
	event->file = *key;
	event->address = address;
	event_submit(LANE_CANDIDATE, event);
}

/* Where the kernel has functions to hook: each new mapping, before its code runs. */
SEC("fentry/perf_event_mmap")
int BPF_PROG(file_mapped, struct vm_area_struct *vma)
{
	struct file *file = vma->vm_file;
	struct tls_file key = {};

	if (!file || !(vma->vm_flags & VM_EXEC))
		return 0;
	file__key(&key, file->f_inode);
	if (!bpf_map_lookup_elem(&known_files, &key))
		file__tell(&key, bpf_get_current_task_btf(), vma->vm_start);
	return 0;
}

struct fault {
	struct tls_file key;
	struct inode *inode;
	__u64 address;
	bool runs;
};

static long vma__runs(struct task_struct *task, struct vm_area_struct *vma, struct fault *fault)
{
	struct file *file = vma->vm_file;

	fault->runs =
		file && vma->vm_flags & VM_EXEC && BPF_CORE_READ(file, f_inode) == fault->inode;
	return 0;
}

/*
 * Elsewhere a page that a process needs of a file: one of its code, if the instruction that needs
 * it lies in that file too. For files that are known this is one look into a table.
 */
SEC("tp_btf/mm_filemap_map_pages")
int BPF_PROG(file_faulted, struct address_space *mapping)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fault fault = {.inode = mapping->host};
	struct try_key try = {.mapping = (__u64)mapping};
	__u64 *tried, now;
	struct pt_regs *user;

	file__key(&fault.key, fault.inode);
	if (bpf_map_lookup_elem(&known_files, &fault.key))
		return 0;
	user = (struct pt_regs *)bpf_task_pt_regs(task);
	fault.address = BPF_CORE_READ(user, ip);
	try.page = fault.address >> 12;
	now = bpf_ktime_get_boot_ns();
	tried = bpf_map_lookup_elem(&tries, &try);
	if (tried && now - *tried < TRY_PAUSE_NS)
		return 0;
	bpf_map_update_elem(&tries, &try, &now, BPF_ANY);
	bpf_find_vma(task, fault.address, vma__runs, &fault, 0);
	if (fault.runs)
		file__tell(&fault.key, task, fault.address);
	return 0;
}

/* What runs already, at the start and from time to time: tells new files, notes those in use. */
SEC("iter/task_vma")
int files_in_use(struct bpf_iter__task_vma *ctx)
{
	struct vm_area_struct *vma = ctx->vma;
	struct task_struct *task = ctx->task;
	struct tls_file key = {};
	struct file *file;
	__u32 *kind;

	if (!vma || !task)
		return 0;
	file = vma->vm_file;
	if (!file || !(vma->vm_flags & VM_EXEC))
		return 0;
	file__key(&key, BPF_CORE_READ(file, f_inode));
	kind = bpf_map_lookup_elem(&known_files, &key);
	if (!kind) {
		file__tell(&key, task, vma->vm_start);
	} else if (*kind == TLS_FILE_PROBED) {
		__u64 now = bpf_ktime_get_boot_ns();

		bpf_map_update_elem(&used_files, &key, &now, BPF_ANY);
	}
	return 0;
}

/* ---- text ---- */

/* Stands for the task's stash where other addresses are those of its memory. */
#define FROM_STASH (1ULL << 63)

static __always_inline long memory__read(void *to, __u32 size, __u64 from, struct stash *stash)
{
	if (stash)
		return bpf_probe_read_kernel(to, size, stash->text + (from & (STASH_BYTES - 1)));
	return bpf_probe_read_user(to, size, (void *)from);
}

/* Copies `size` bytes, a constant, into the record's tail. */
static __always_inline long text__copy(struct bpf_dynptr *record, __u64 from, struct stash *stash,
				       __u32 done, __u32 size)
{
	void *window = bpf_dynptr_data(record, sizeof(struct socket_payload_event) + done, size);

	return window ? memory__read(window, size, from + done, stash) : -1;
}

/* Sends one record, with captured_bytes of what is at `from`. */
__noinline int text__send(const struct socket_payload_event *seen, __u64 from)
{
	__u64 sequence = lane__next_sequence(LANE_BULK);
	struct socket_payload_event *event;
	struct stash *stash = NULL;
	struct bpf_dynptr record;
	__u32 bytes, size, rest, done = 0;
	long err = 0;

	if (!seen)
		return 0;
	if (from & FROM_STASH)
		stash = bpf_task_storage_get(&tls_stashes, bpf_get_current_task_btf(), NULL, 0);
	bytes = seen->captured_bytes;
	size = sizeof(*seen) + (bytes + PAYLOAD_STEP - 1) / PAYLOAD_STEP * PAYLOAD_STEP;
	lane__count(LANE_BULK, socket_payload_event_id, offered);
	if (lane__reserve(LANE_BULK, size, &record)) {
		lane__count(LANE_BULK, socket_payload_event_id, ring_full);
		return 0;
	}
	for (int i = 0; i < TEXT_CHUNK / TEXT_STRIDE; i++) {
		if (bytes - done < TEXT_STRIDE)
			break;
		err |= text__copy(&record, from, stash, done, TEXT_STRIDE);
		done += TEXT_STRIDE;
	}
	for (int i = 0; i < TEXT_STRIDE / PAYLOAD_STEP; i++) {
		if (bytes - done < PAYLOAD_STEP)
			break;
		err |= text__copy(&record, from, stash, done, PAYLOAD_STEP);
		done += PAYLOAD_STEP;
	}
	/* One less than the length: kernel 6.1 learns nothing from a test for zero. */
	rest = bytes % PAYLOAD_STEP - 1;
	barrier_var(rest);
	if (rest < PAYLOAD_STEP - 1) {
		void *window = bpf_dynptr_data(&record, sizeof(*event) + done, PAYLOAD_STEP);

		err |= window ? memory__read(window, rest + 1, from + done, stash) : -1;
	}
	event = bpf_dynptr_data(&record, 0, sizeof(*event));
	if (!event || err) {
		lane__count(LANE_BULK, socket_payload_event_id, fault);
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 0;
	}
	*event = *seen;
	header__init(&event->header, LANE_BULK, socket_payload_event_id,
		     socket_payload_event_version, size, sequence);
	header__set_current(&event->header);
	event->header.socket_cookie = seen->header.socket_cookie;
	bpf_ringbuf_submit_dynptr(&record, lane__flags(LANE_BULK, size));
	return 0;
}

struct text {
	struct socket_payload_event seen;
	__u64 from;
	__u32 bytes;   /* not told yet */
	__u32 granted; /* of them, those that go up */
};

static long text__send_chunk(__u32 index, struct text *text)
{
	__u32 bytes = text->granted < TEXT_CHUNK ? text->granted : TEXT_CHUNK;

	text->seen.captured_bytes = bytes;
	/* The last one also tells the length of what does not go up. */
	text->seen.payload_bytes = bytes == text->granted ? text->bytes : bytes;
	text__send(&text->seen, text->from);
	text->seen.tcp_sequence += text->seen.payload_bytes;
	text->seen.flags &= ~(PAYLOAD_FIRST | PAYLOAD_OPENING);
	text->bytes -= text->seen.payload_bytes;
	text->granted -= bytes;
	text->from += bytes;
	return text->bytes == 0;
}

/* What is told of `bytes` more in that direction: all, or what is left of the run. */
static __always_inline __u32 session__grant(struct session *session, __u32 direction, __u32 bytes,
					    const __u32 *verdict)
{
	__u32 limit = verdict ? config.run_bytes : config.open_bytes;
	__u32 before = session->run_bytes[direction & 1];

	session->run_bytes[(direction ^ 1) & 1] = 0;
	session->run_bytes[direction & 1] = before + bytes < before ? (__u32)-1 : before + bytes;
	if (bytes > PAYLOAD_BYTES_MAX)
		bytes = PAYLOAD_BYTES_MAX;
	if (verdict && *verdict == PAYLOAD_WHOLE)
		return bytes;
	if (before >= limit)
		return 0;
	return bytes < limit - before ? bytes : limit - before;
}

/* Fills in what every record of the session has. */
static __always_inline void session__describe(struct session *session, __u32 direction,
					      struct socket_payload_event *seen)
{
	seen->header.socket_cookie = session->cookie;
	seen->ends = session->ends;
	seen->direction = direction;
	seen->above_tls = 1;
	seen->tcp_sequence = session->next[direction & 1];
	/* What this end had said or read by then; of what the peer had, its library knows nothing.
	 */
	seen->tcp_ack = session->next[(direction ^ 1) & 1];
	seen->flags = PAYLOAD_IN_ORDER | (session->followed ? PAYLOAD_FOLLOWED : 0);
}

/* `kept` of the bytes are in the buffer. */
static __always_inline void session__tell(struct session *session, __u32 direction, __u64 buffer,
					  __u32 bytes, __u32 kept)
{
	__u32 *verdict = bpf_map_lookup_elem(&text_verdicts, &session->cookie);
	struct text text = {};

	if (session->ignored)
		return;
	if (verdict && *verdict == PAYLOAD_IGNORE) {
		session->ignored = 1;
		return;
	}
	session__describe(session, direction, &text.seen);
	if (session->followed && text.seen.tcp_sequence == 0)
		text.seen.flags |= PAYLOAD_FIRST | (text.seen.tcp_ack == 0 ? PAYLOAD_OPENING : 0);
	text.bytes = bytes;
	text.granted = session__grant(session, direction, bytes, verdict);
	if (text.granted > kept)
		text.granted = kept;
	text.from = buffer;
	session->next[direction & 1] += bytes;
	bpf_loop(TEXT_CHUNKS, text__send_chunk, &text, 0);
}

/* That direction has ended. */
static __always_inline void session__end(struct session *session, __u32 direction)
{
	struct socket_payload_event seen = {};

	if (session->ignored || session->ended[direction & 1])
		return;
	session->ended[direction & 1] = 1;
	session__describe(session, direction, &seen);
	seen.flags |= PAYLOAD_FIN;
	text__send(&seen, 0);
}

/* ---- calls ---- */

/* The calls that the task is in, without those that it left by other ways than a return. */
static __always_inline struct call_stack *stack__at(struct task_struct *task, __u64 stack,
						    __u64 flags)
{
	struct call_stack *calls = bpf_task_storage_get(&tls_calls, task, NULL, flags);

	if (!calls)
		return NULL;
	for (int i = 0; i < CALLS_MAX; i++) {
		__u32 last = calls->depth - 1;

		if (last >= CALLS_MAX || calls->calls[last].stack > stack)
			break;
		calls->depth = last;
	}
	return calls;
}

static __always_inline struct session *session__find(__u64 session)
{
	struct session_key key = {.session = session, .tgid = bpf_get_current_pid_tgid() >> 32};

	return bpf_map_lookup_elem(&tls_sessions, &key);
}

/* A session without text so far, whose socket is to be seen. */
static __always_inline void session__expect(__u64 address, __u64 flags)
{
	struct session_key key = {.session = address, .tgid = bpf_get_current_pid_tgid() >> 32};
	struct session fresh = {.followed = 1};

	bpf_map_update_elem(&tls_sessions, &key, &fresh, flags);
}

/*
 * Whether `records` records with `text` bytes take `bytes` in all. The first ones of a client
 * of 1.3 may travel behind the end of its handshake.
 */
static __always_inline bool records__take(__u32 records, __u32 text, __u32 bytes, bool first)
{
	__u32 more = bytes - text;

	if (more == records * RECORD_NEWER || more == records * RECORD_GCM ||
	    more == records * RECORD_CHACHA)
		return true;
	more -= records * RECORD_NEWER;
	return first &&
	       (more == FINISHED_SHORT || more == FINISHED_LONG ||
		more == FINISHED_SHORT + CHANGE_CIPHER || more == FINISHED_LONG + CHANGE_CIPHER);
}

static __always_inline void stash__add(struct call *call, __u32 bytes)
{
	struct stash *stash = bpf_task_storage_get(&tls_stashes, bpf_get_current_task_btf(), NULL,
						   BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u32 last;

	if (!stash)
		return;
	if (stash->session != call->session) {
		/* Nobody has sent what is there. */
		if (stash->session)
			loss__count(TLS_LOSS_UNBOUND);
		stash->session = call->session;
		stash->bytes = stash->records = 0;
		/* One less than the length: kernel 6.1 learns nothing from a test for zero. */
		last = (bytes < STASH_BYTES ? bytes : STASH_BYTES) - 1;
		barrier_var(last);
		stash->kept = 0;
		if (last < STASH_BYTES &&
		    !bpf_probe_read_user(stash->text, last + 1, (void *)call->buffer))
			stash->kept = last + 1;
	}
	stash->bytes += bytes;
	stash->records += (bytes + RECORD_TEXT - 1) / RECORD_TEXT;
}

/*
 * The library got and gives its bytes elsewhere than at a socket (memory BIOs). Then the task has
 * just received one record with this text, or sends it next: what a record adds to its text is an
 * uncommon number, so that a length says which socket it was. NULL where it does not.
 */
static __always_inline struct session *session__guess(struct session *known,
						      struct call_stack *calls, struct call *call,
						      __u32 direction, __u32 bytes)
{
	struct session_key key = {.session = call->session,
				  .tgid = bpf_get_current_pid_tgid() >> 32};
	struct session fresh = {};

	if (direction == PAYLOAD_SENT && bytes) {
		stash__add(call, bytes);
		return NULL;
	}
	if (!bytes || !calls->receipt.bytes ||
	    !records__take(1, bytes, calls->receipt.bytes, known && known->followed)) {
		loss__count(TLS_LOSS_UNBOUND);
		if (known)
			known->followed = 0;
		return NULL;
	}
	fresh.cookie = calls->receipt.cookie;
	fresh.ends = calls->receipt.ends;
	fresh.followed = known && known->followed;
	calls->receipt.used = 1;
	bpf_map_update_elem(&tls_sessions, &key, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&tls_sessions, &key);
}

static __always_inline int call__enter(struct pt_regs *ctx)
{
	__u32 function = bpf_get_attach_cookie(ctx);
	__u64 address = PT_REGS_PARM1(ctx);
	struct call_stack *calls;
	struct call *call;
	__u32 depth;

	if (function == TLS_FREE || function == TLS_SHUTDOWN) {
		struct session *session = session__find(address);
		struct session_key key = {.session = address,
					  .tgid = bpf_get_current_pid_tgid() >> 32};

		if (session && session->cookie)
			session__end(session, PAYLOAD_SENT);
		if (session && function == TLS_FREE)
			bpf_map_delete_elem(&tls_sessions, &key);
		return 0;
	}
	calls = stack__at(bpf_get_current_task_btf(), PT_REGS_SP(ctx),
			  BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!calls)
		return 0;
	depth = calls->depth;
	/* A call that is made of another one on the same session: the outer one tells it all. */
	if (depth && depth <= CALLS_MAX && calls->calls[depth - 1].session == address)
		return 0;
	if (depth >= CALLS_MAX) {
		loss__count(TLS_LOSS_NESTED);
		return 0;
	}
	call = &calls->calls[depth];
	call->session = address;
	call->buffer = PT_REGS_PARM2(ctx);
	call->bytes_at =
		function == TLS_READ_EX || function == TLS_WRITE_EX ? PT_REGS_PARM4(ctx) : 0;
	call->stack = PT_REGS_SP(ctx);
	call->function = function;
	calls->depth = depth + 1;
	return 0;
}

static __always_inline int call__return(struct pt_regs *ctx)
{
	/* The return has taken the address off the stack. */
	__u64 stack = PT_REGS_SP(ctx) - sizeof(__u64);
	struct call_stack *calls =
		bpf_task_storage_get(&tls_calls, bpf_get_current_task_btf(), NULL, 0);
	int result = PT_REGS_RC(ctx);
	struct session *session;
	struct call *call = NULL;
	__u64 bytes = 0;
	__u32 direction;

	if (!calls)
		return 0;
	for (__u32 i = 0; i < CALLS_MAX; i++) {
		if (i < calls->depth && calls->calls[i].stack == stack) {
			call = &calls->calls[i];
			calls->depth = i;
			break;
		}
	}
	if (!call)
		return 0;
	if (call->function == TLS_NEW) {
		session__expect(PT_REGS_RC(ctx), BPF_ANY);
		return 0;
	}
	if (call->function == TLS_HANDSHAKE) {
		session__expect(call->session, BPF_NOEXIST);
		return 0;
	}
	direction = call->function == TLS_READ || call->function == TLS_READ_EX ? PAYLOAD_RECEIVED
										: PAYLOAD_SENT;
	if (!call->bytes_at)
		bytes = result > 0 ? result : 0;
	else if (result == 1 && bpf_probe_read_user(&bytes, sizeof(bytes), (void *)call->bytes_at))
		bytes = 0;
	if (!bytes && !(call->function == TLS_READ && result == 0))
		return 0;
	session = session__find(call->session);
	if (!session || !session->cookie)
		session = session__guess(session, calls, call, direction, bytes);
	if (direction == PAYLOAD_RECEIVED)
		calls->receipt.bytes = 0;
	if (!session)
		return 0;
	if (bytes)
		session__tell(session, direction, call->buffer, bytes, bytes);
	else
		session__end(session, direction);
	return 0;
}

/* Both kinds of probes run the same; the section's name says which kind attaches it. */
SEC("uprobe/multi")
int call_entered_multi(struct pt_regs *ctx)
{
	return call__enter(ctx);
}

SEC("uretprobe/multi")
int call_returned_multi(struct pt_regs *ctx)
{
	return call__return(ctx);
}

SEC("uprobe")
int call_entered(struct pt_regs *ctx)
{
	return call__enter(ctx);
}

SEC("uretprobe")
int call_returned(struct pt_regs *ctx)
{
	return call__return(ctx);
}

/* ---- sockets ---- */

static __always_inline void ends__of_sock(struct socket_ends *ends, struct sock *sk)
{
	if (sk->__sk_common.skc_family == AF_INET6) {
		BPF_CORE_READ_INTO(&ends->local_address, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&ends->peer_address, sk, __sk_common.skc_v6_daddr);
	} else {
		__u32 local = sk->__sk_common.skc_rcv_saddr;
		__u32 peer = sk->__sk_common.skc_daddr;

		ends->local_address[10] = ends->local_address[11] = 0xff;
		ends->peer_address[10] = ends->peer_address[11] = 0xff;
		__builtin_memcpy(ends->local_address + 12, &local, 4);
		__builtin_memcpy(ends->peer_address + 12, &peer, 4);
	}
	ends->local_port = sk->__sk_common.skc_num;
	ends->peer_port = bpf_ntohs(sk->__sk_common.skc_dport);
}

static __always_inline void socket__mark(struct sock *sk)
{
	bpf_sk_storage_get(&tls_sockets, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

/* Bytes that the task moves outside of a call may be those of a session without a socket. */
static __always_inline int socket__moved_alone(struct sock *sk, struct task_struct *task,
					       struct call_stack *calls, int bytes, bool sent)
{
	struct session_key key = {.tgid = task->tgid};
	struct session *known, fresh = {};
	struct stash *stash;

	/* It carries one already. */
	if (bpf_sk_storage_get(&tls_sockets, sk, NULL, 0))
		return 0;
	fresh.cookie = bpf_get_socket_cookie(sk);
	if (calls->receipt.used && calls->receipt.cookie == fresh.cookie) {
		socket__mark(sk);
		return 0;
	}
	if (!sent) {
		calls->receipt.cookie = fresh.cookie;
		ends__of_sock(&calls->receipt.ends, sk);
		calls->receipt.bytes = bytes;
		calls->receipt.used = 0;
		return 0;
	}
	stash = bpf_task_storage_get(&tls_stashes, task, NULL, 0);
	if (!stash || !stash->session)
		return 0;
	key.session = stash->session;
	known = bpf_map_lookup_elem(&tls_sessions, &key);
	if (!records__take(stash->records, stash->bytes, bytes, known && known->followed))
		return 0;
	stash->session = 0;
	if (known && known->cookie)
		return 0;
	ends__of_sock(&fresh.ends, sk);
	fresh.followed = known && known->followed;
	bpf_map_update_elem(&tls_sessions, &key, &fresh, BPF_ANY);
	socket__mark(sk);
	known = bpf_map_lookup_elem(&tls_sessions, &key);
	if (known)
		session__tell(known, PAYLOAD_SENT, FROM_STASH, stash->bytes, stash->kept);
	return 0;
}

/* Bytes that the task moves on a socket while it is in a call are that call's session. */
static __always_inline int socket__moved(struct sock *sk, int bytes, bool sent)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct session_key key = {.tgid = task->tgid};
	struct session *known, fresh = {};
	struct call_stack *calls;
	struct pt_regs *user;
	struct call *call;
	__u32 last;

	if (bytes <= 0 || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	calls = bpf_task_storage_get(&tls_calls, task, NULL, 0);
	if (!calls)
		return 0;
	if (calls->depth) {
		user = (struct pt_regs *)bpf_task_pt_regs(task);
		calls = stack__at(task, BPF_CORE_READ(user, sp), 0);
		if (!calls)
			return 0;
	}
	last = calls->depth - 1;
	if (last >= CALLS_MAX)
		return socket__moved_alone(sk, task, calls, bytes, sent);
	call = &calls->calls[last];
	key.session = call->session;
	fresh.cookie = bpf_get_socket_cookie(sk);
	known = bpf_map_lookup_elem(&tls_sessions, &key);
	if (known && known->cookie == fresh.cookie)
		return 0;
	ends__of_sock(&fresh.ends, sk);
	/* A handshake that comes within the first write begins a connection that has not answered.
	 */
	fresh.followed = call->function == TLS_HANDSHAKE ||
			 !BPF_CORE_READ((struct tcp_sock *)sk, bytes_received);
	bpf_map_update_elem(&tls_sessions, &key, &fresh, BPF_ANY);
	socket__mark(sk);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(text_sent, struct sock *sk, int bytes, int flags)
{
	return socket__moved(sk, bytes, true);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(text_received, struct sock *sk, int bytes, int flags)
{
	return socket__moved(sk, bytes, false);
}

SEC("fexit/tcp_sendmsg")
int BPF_PROG(text_sent_fexit, struct sock *sk, struct msghdr *message, size_t size, int bytes)
{
	return socket__moved(sk, bytes, true);
}

SEC("fexit/tcp_recvmsg")
int BPF_PROG(text_received_fexit, struct sock *sk, struct msghdr *message, size_t size, int flags,
	     int *address_size, int bytes)
{
	return socket__moved(sk, bytes, false);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(text_closed, struct sock *sk, int old_state, int new_state)
{
	struct socket_close_event *event;

	if (new_state != BPF_TCP_CLOSE || sk->sk_protocol != IPPROTO_TCP ||
	    !bpf_sk_storage_get(&tls_sockets, sk, NULL, 0))
		return 0;
	event = event_reserve(LANE_BULK, socket_close_event);
	if (!event)
		return 0;
	event->header.socket_cookie = bpf_get_socket_cookie(sk);
	event_submit(LANE_BULK, event);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
