/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lanes as kernel programs use them. Every object that includes this shares the same maps: the
 * loader wires them by name. Loss is counted here, where it happens, and nowhere else.
 */
#ifndef TRIVET_LANES_BPF_H
#define TRIVET_LANES_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "event.h"

#define LANE_RING(name, bytes)                                                                     \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_RINGBUF);                                                \
		__uint(max_entries, bytes);                                                        \
	} name SEC(".maps")

/*
 * A lane of many producers: one ring for each group of CPUs, `bytes` all of them together. The
 * broker makes the rings and puts into each CPU's slot that of its group.
 */
#define LANE_SHARDS(name, bytes)                                                                   \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                          \
		__uint(max_entries, 1);                                                            \
		__type(key, __u32);                                                                \
		__array(                                                                           \
			values, struct {                                                           \
				__uint(type, BPF_MAP_TYPE_RINGBUF);                                \
				__uint(max_entries, bytes);                                        \
			});                                                                        \
	} name SEC(".maps")

/* Sizes in bytes, powers of two: fork storms and alert bursts fit while the reader is away 100 ms.
 */
LANE_RING(lane_lifecycle, 4 << 20);
LANE_RING(lane_alert, 1 << 20);
LANE_SHARDS(lane_candidate, 8 << 20);
LANE_SHARDS(lane_bulk, 32 << 20);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANE_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} lane_sequences SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LANE_COUNT *EVENT_TYPES);
	__type(key, __u32);
	__type(value, struct lane_account);
} lane_accounts SEC(".maps");

/* A softirq may interrupt a system call on the same CPU between load and store: add atomically. */
#define lane__count(lane, type, what)                                                              \
	({                                                                                         \
		__u32 key__ = LANE_ACCOUNT(lane, type);                                            \
		struct lane_account *account__ = bpf_map_lookup_elem(&lane_accounts, &key__);      \
		if (account__)                                                                     \
			__sync_fetch_and_add(&account__->what, 1);                                 \
	})

static __always_inline __u64 lane__next_sequence(__u32 lane)
{
	__u64 *sequence = bpf_map_lookup_elem(&lane_sequences, &lane);

	return sequence ? __sync_fetch_and_add(sequence, 1) : 0;
}

/*
 * The ring of a lane on this CPU, never NULL for lanes that have but one. `lane` is a compile-time
 * constant, so that one arm remains.
 */
static __always_inline void *lane__ring(enum lane lane)
{
	__u32 cpu = bpf_get_smp_processor_id();

	switch (lane) {
	case LANE_LIFECYCLE:
		return &lane_lifecycle;
	case LANE_ALERT:
		return &lane_alert;
	case LANE_CANDIDATE:
		return bpf_map_lookup_elem(&lane_candidate, &cpu);
	default:
		return bpf_map_lookup_elem(&lane_bulk, &cpu);
	}
}

/*
 * How a record of `size` bytes wakes the reader: see docs/contracts.md. Bulk is drained by a timer,
 * as a wake-up costs about fifty times the record, and wakes when another quarter of its ring is
 * full: a burst would overflow the ring before the timer ends.
 */
static __always_inline __u64 lane__flags(enum lane lane, __u32 size)
{
	__u64 unread, quarter;
	void *ring;

	if (lane == LANE_ALERT)
		return BPF_RB_FORCE_WAKEUP;
	if (lane != LANE_BULK)
		return 0;
	ring = lane__ring(lane);
	if (!ring)
		return BPF_RB_NO_WAKEUP;
	unread = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	quarter = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 4;
	/* A power of two: some bit from it upwards differs where the record crossed a multiple. */
	return (unread ^ (unread - size)) >= quarter ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline void header__init(struct event_header *header, enum lane lane, __u16 type,
					 __u8 version, __u32 size, __u64 sequence)
{
	header->size = size;
	header->type = type;
	header->version = version;
	header->lane = lane;
	header->sequence = sequence;
	header->cpu = bpf_get_smp_processor_id();
	header->tid = 0;
	header->task.start_ns = 0;
	header->task.tgid = 0;
	header->task.exec_count = 0;
	header->cgroup_id = 0;
	header->socket_cookie = 0;
	header->cause_id = 0;
	header->time_ns = bpf_ktime_get_boot_ns();
}

/* Names the task as the event's subject. The exec count is the kernel's own (exec.c). */
static __always_inline void task_key__read(struct task_key *key, struct task_struct *task)
{
	key->tgid = BPF_CORE_READ(task, tgid);
	key->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	key->exec_count = BPF_CORE_READ(task, self_exec_id);
}

static __always_inline void header__set_current(struct event_header *header)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	header->tid = (__u32)bpf_get_current_pid_tgid();
	task_key__read(&header->task, task);
	header->cgroup_id = bpf_get_current_cgroup_id();
}

/*
 * event_reserve(lane, name): room for one struct <name> with its header filled in (task not), or
 * NULL, the loss counted. Follow with event_submit(lane, event) on every path.
 */
#define event_reserve(lane, name)                                                                  \
	({                                                                                         \
		__u64 sequence__ = lane__next_sequence(lane);                                      \
		void *ring__ = lane__ring(lane);                                                   \
		struct name *event__ =                                                             \
			ring__ ? bpf_ringbuf_reserve(ring__, sizeof(struct name), 0) : NULL;       \
		lane__count(lane, name##_id, offered);                                             \
		if (event__)                                                                       \
			header__init(&event__->header, lane, name##_id, name##_version,            \
				     sizeof(struct name), sequence__);                             \
		else                                                                               \
			lane__count(lane, name##_id, ring_full);                                   \
		event__;                                                                           \
	})

#define event_submit(lane, event) bpf_ringbuf_submit(event, lane__flags(lane, (event)->header.size))

/*
 * lane__reserve(lane, size, record): room for a record of variable length as a dynptr. Where it
 * answers an error there is nothing to submit or to discard.
 */
static __always_inline long lane__reserve(enum lane lane, __u32 size, struct bpf_dynptr *record)
{
	void *ring = lane__ring(lane);
	long err;

	if (!ring)
		return -1;
	err = bpf_ringbuf_reserve_dynptr(ring, size, 0, record);
	if (err)
		bpf_ringbuf_discard_dynptr(record, 0);
	return err;
}

/*
 * event_send(lane, name, event, size): copies an event of `size` bytes that was built in scratch
 * memory of `limit` bytes (a constant) into the lane. For events with a tail of variable length:
 * one reservation of the exact size, the time taken after it.
 */
#define event_send(lane, name, event, size_, limit)                                                \
	({                                                                                         \
		struct bpf_dynptr record__;                                                        \
		__u32 size__ = (size_);                                                            \
		__u64 sequence__ = lane__next_sequence(lane);                                      \
		struct event_header saved__ = (event)->header;                                     \
		long err__;                                                                        \
		lane__count(lane, name##_id, offered);                                             \
		if (size__ > (limit))                                                              \
			size__ = (limit);                                                          \
		err__ = lane__reserve(lane, size__, &record__);                                    \
		if (err__) {                                                                       \
			lane__count(lane, name##_id, ring_full);                                   \
		} else {                                                                           \
			header__init(&(event)->header, lane, name##_id, name##_version, size__,    \
				     sequence__);                                                  \
			(event)->header.tid = saved__.tid;                                         \
			(event)->header.task = saved__.task;                                       \
			(event)->header.cgroup_id = saved__.cgroup_id;                             \
			(event)->header.socket_cookie = saved__.socket_cookie;                     \
			(event)->header.cause_id = saved__.cause_id;                               \
			bpf_dynptr_write(&record__, 0, (event), size__, 0);                        \
			bpf_ringbuf_submit_dynptr(&record__, lane__flags(lane, size__));           \
		}                                                                                  \
		err__;                                                                             \
	})

#endif /* TRIVET_LANES_BPF_H */
