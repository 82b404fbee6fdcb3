/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The header that every event carries from the kernel to user space, and the lanes that carry it.
 * Included by the kernel programs and by user space: the one place where both agree.
 * The layout is a contract (docs/contracts.md): fields are appended, never moved.
 */
#ifndef TRIVET_EVENT_H
#define TRIVET_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#ifdef __cplusplus
#define TRIVET_STATIC_ASSERT static_assert
#else
#define TRIVET_STATIC_ASSERT _Static_assert
#endif

/* A lane is a ring of its own, so that a flood in one class cannot cost an event of another. */
enum lane {
	LANE_LIFECYCLE, /* fork, exec, exit: host facts are built from them */
	LANE_ALERT,	/* denials, and events that the kernel already selected */
	LANE_CANDIDATE, /* what rules are judged on */
	LANE_BULK,	/* payload; woken in batches */
	LANE_COUNT,
};

/*
 * Event ids: 1-63 core, 64-127 security, 128-191 tracing, 192-239 network, 240-255 plugins from
 * elsewhere.
 */
#define EVENT_TYPES	 256
#define EVENT_CORE_TYPES 64 /* ids below this are what host facts are built from */

/* A task is never a bare pid: (tgid, start time) names the process, exec_count its image. */
struct task_key {
	__u64 start_ns;	  /* start of the thread group's leader, CLOCK_BOOTTIME */
	__u32 tgid;	  /* in the initial pid namespace; 0: no task is known */
	__u32 exec_count; /* task_struct.self_exec_id: grows with each exec, kept by fork */
};

struct event_header {
	__u32 size;	/* whole record with this header and its tail, bytes */
	__u16 type;	/* <event>_id */
	__u8 version;	/* layout version of that type */
	__u8 lane;	/* enum lane */
	__u64 time_ns;	/* CLOCK_BOOTTIME, taken after the reservation */
	__u64 sequence; /* per CPU and lane, from 0; a gap is a counted drop */
	__u32 cpu;
	__u32 tid;	      /* the thread that caused it; 0: unknown */
	struct task_key task; /* its process */
	__u64 cgroup_id;      /* cgroup2 id of the task; 0: unknown */
	__u64 socket_cookie;  /* the socket concerned; 0: none */
	__u64 cause_id;	      /* the record or event that led to this one; 0: unknown */
};

TRIVET_STATIC_ASSERT(sizeof(struct task_key) == 16, "task_key is a contract");
TRIVET_STATIC_ASSERT(sizeof(struct event_header) == 72, "event_header is a contract");

/*
 * What became of the events of one type in one lane, per CPU, counted where it happens:
 * offered = filtered + delivered + ring_full + too_large + fault, delivered being the reader's
 * count.
 */
struct lane_account {
	__u64 offered;	 /* the hook saw something that this event could tell */
	__u64 filtered;	 /* no enabled consumer wants it */
	__u64 ring_full; /* no room: lost */
	__u64 too_large; /* more than the record may hold: lost */
	__u64 fault;	 /* a kernel or user read failed: lost */
};

/* Key of the accounts: one slot for each lane and type. */
#define LANE_ACCOUNT(lane, type) ((lane)*EVENT_TYPES + (type))

/*
 * TRIVET_EVENT(name, id, size, version) follows the declaration of struct <name>, whose first
 * member is `struct event_header header`. Both compilers check the size; C++ gains EventTraits.
 */
#define TRIVET_EVENT_CHECK(name, id_, size_, version_)                                             \
	enum { name##_id = (id_), name##_version = (version_) };                                   \
	TRIVET_STATIC_ASSERT(sizeof(struct name) == (size_), #name " changed size");               \
	TRIVET_STATIC_ASSERT((id_) > 0 && (id_) < EVENT_TYPES, #name " has an id out of range")

#ifdef __cplusplus
namespace trivet
{
template <class Event> struct EventTraits;
}
#define TRIVET_EVENT(name, id_, size_, version_)                                                   \
	TRIVET_EVENT_CHECK(name, id_, size_, version_);                                            \
	template <> struct trivet::EventTraits<name> {                                             \
		static constexpr unsigned id = (id_);                                              \
		static constexpr unsigned version = (version_);                                    \
		static constexpr const char *label = #name;                                        \
	}
#else
#define TRIVET_EVENT TRIVET_EVENT_CHECK
#endif

#endif /* TRIVET_EVENT_H */
