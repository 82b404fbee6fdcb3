/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A load of events on request: getpgid(FLOOD_ORDER(lane, count)) makes the flood object send
 * `count` events in that lane before the call goes on, and fails as there is no such process.
 */
#ifndef TRIVET_FLOOD_H
#define TRIVET_FLOOD_H

#include "event.h"

#define FLOOD_MAGIC 0x7f1d
#define FLOOD_ORDER(lane, count)                                                                   \
	(((__u64)FLOOD_MAGIC << 48) | ((__u64)(lane) << 40) | (__u64)(__u32)(count))

/* An id that no plugin has. */
struct flood_event {
	struct event_header header;
	__u64 index; /* within the order */
	__u64 payload[3];
};
TRIVET_EVENT(flood_event, 255, 72 + 32, 1);

/* Of each order, every event of which the index is a multiple of this counts as filtered. */
#define FLOOD_FILTERED 16

#endif /* TRIVET_FLOOD_H */
