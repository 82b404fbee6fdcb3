// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Opens that io_uring makes: no system call shows them. A request is noted as it is submitted, with
 * the kernel's own copy of the path, and told as it completes, with the file that came of it. One
 * that asked for no completion is told at once, and so is one too many to note: as it was asked
 * for, with the file unknown.
 */
#include "lanes.bpf.h"
#include "security/call_table.h"
#include "security/opened.bpf.h"
#include "security/wanted.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* IOSQE_CQE_SKIP_SUCCESS, as io_kiocb.flags has it. */
#define REQ_F_CQE_SKIP (1 << 6)
/* The kernel chooses the place in the ring's own table of files. */
#define IORING_FILE_INDEX_ALLOC (~0U)
/* The low bits of a file's address in that table say what kind it is of. */
#define RING_FILE_MASK (~7UL)

const volatile struct rings_config config = {};
const volatile __u16 ring_calls[RING_CALLS] = CALL_TABLE_RINGS;

/* How the ring's table was kept before 6.13. */
struct io_fixed_file___before {
	unsigned long file_ptr;
};
struct io_file_table___before {
	struct io_fixed_file___before *files;
};

struct ring_open {
	__u64 open_flags;
	__u32 open_mode;
	__s32 folder;
	__u32 slot; /* in the ring's table, from 1; 0: a descriptor of the process */
	__u16 which;
	__u16 text_size;
	char text[CALL_PATH_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u64); /* the request's address */
	__type(value, struct ring_open);
} ring_opens SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ring_open);
} ring_notes SEC(".maps");

static __always_inline struct file *ring__file(struct io_ring_ctx *ring, __u32 index)
{
	struct io_file_table *table = __builtin_preserve_access_index(&ring->file_table);
	unsigned long pointer = 0;

	if (bpf_core_field_exists(table->data)) {
		struct io_rsrc_node **nodes = BPF_CORE_READ(table, data.nodes), *node = NULL;

		if (index >= BPF_CORE_READ(table, data.nr))
			return NULL;
		bpf_probe_read_kernel(&node, sizeof(node), nodes + index);
		pointer = BPF_CORE_READ(node, file_ptr);
	} else {
		struct io_file_table___before *before = (void *)table;
		struct io_fixed_file___before *files = BPF_CORE_READ(before, files);

		bpf_probe_read_kernel(&pointer, sizeof(pointer), files + index);
	}
	return (struct file *)(pointer & RING_FILE_MASK);
}

static __noinline int ring__tell(struct ring_open *open, struct io_kiocb *request, __s64 result,
				 bool complete)
{
	struct call_scratch *scratch = call_scratch();
	__u64 size = open->text_size;
	struct syscall_event *event;
	struct file *file = NULL;
	__u32 which = open->which, used;

	if (!scratch || which >= RING_CALLS)
		return 0;
	event = &scratch->event;
	__builtin_memset(event, 0, sizeof(*event));
	event->call = ring_calls[which];
	event->result = result;
	event->arguments[0] = (__s64)open->folder;
	event->arguments[2] = which == RING_OPENAT ? open->open_flags : 0;
	event->open_flags = open->open_flags;
	event->open_mode = open->open_flags & O_CREAT ? open->open_mode : 0;
	event->descriptor = -1;
	if (result >= 0) {
		if (!open->slot) {
			event->descriptor = result;
			file = complete ? file_of(result) : NULL;
		} else if (complete) {
			__u32 index =
				open->slot == IORING_FILE_INDEX_ALLOC ? result : open->slot - 1;

			file = ring__file(BPF_CORE_READ(request, ctx), index);
		}
		if (file)
			event__set_file(event, CALL_OPENS, file);
		/* A later request of the same batch may have filled the place anew. */
		if (!file || open->slot)
			event->flags |= CALL_FILE_UNKNOWN;
	}
	if (!(call__wanted(ring_calls[which]) >> event__profile(event, CALL_OPENS, 0) & 1)) {
		lane__count(LANE_CANDIDATE, syscall_event_id, offered);
		lane__count(LANE_CANDIDATE, syscall_event_id, filtered);
		return 0;
	}
	barrier_var(size);
	if (size > CALL_PATH_MAX)
		size = CALL_PATH_MAX;
	bpf_probe_read_kernel(scratch->tail, size, open->text);
	event->text_size[0] = used = size;
	event->base_size[0] =
		tail__add_base(scratch, scratch->tail, used, open->text[0], open->folder);
	used += event->base_size[0];
	if (file)
		used = event__add_file(scratch, used, (__u64)file);
	header__set_current(&event->header);
	event_send(LANE_CANDIDATE, syscall_event, event, sizeof(*event) + used,
		   sizeof(*event) + TAIL_MAX);
	return 0;
}

static __always_inline int ring__submitted(struct io_kiocb *request)
{
	/* What a request is about is kept at its beginning. */
	struct io_open *asked = (void *)request;
	__u8 opcode = BPF_CORE_READ(request, opcode);
	__u64 key = (__u64)request;
	struct ring_open *note;
	__u32 zero = 0, which;
	long size;

	if (opcode == IORING_OP_OPENAT)
		which = RING_OPENAT;
	else if (opcode == IORING_OP_OPENAT2)
		which = RING_OPENAT2;
	else
		return 0;
	note = bpf_map_lookup_elem(&ring_notes, &zero);
	if (!note || !call__wanted(ring_calls[which]) || process__is_own(config.own_tgids))
		return 0;
	note->which = which;
	note->folder = BPF_CORE_READ(asked, dfd);
	note->slot = BPF_CORE_READ(asked, file_slot);
	note->open_flags = BPF_CORE_READ(asked, how.flags);
	note->open_mode = BPF_CORE_READ(asked, how.mode);
	size = bpf_probe_read_kernel_str(note->text, sizeof(note->text),
					 BPF_CORE_READ(asked, filename, name));
	note->text_size = size > 0 ? size - 1 : 0;
	if ((__u32)BPF_CORE_READ(request, flags) & REQ_F_CQE_SKIP ||
	    bpf_map_update_elem(&ring_opens, &key, note, BPF_ANY))
		return ring__tell(note, request, 0, false);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(ring_submit, struct io_kiocb *request)
{
	return ring__submitted(request);
}

/* The same before 6.3. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(ring_submit_sqe, struct io_kiocb *request)
{
	return ring__submitted(request);
}

/* What follows the request differs between kernels; all of it is in the request as well. */
SEC("tp_btf/io_uring_complete")
int BPF_PROG(ring_complete, struct io_ring_ctx *ring, struct io_kiocb *request)
{
	__u8 opcode = BPF_CORE_READ(request, opcode);
	__u64 key = (__u64)request;
	struct ring_open *open;

	if (opcode != IORING_OP_OPENAT && opcode != IORING_OP_OPENAT2)
		return 0;
	open = bpf_map_lookup_elem(&ring_opens, &key);
	if (!open)
		return 0;
	ring__tell(open, request, BPF_CORE_READ(request, cqe.res), true);
	bpf_map_delete_elem(&ring_opens, &key);
	return 0;
}
