/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows as the kernel tells them: counted there per socket and peer, never per packet. */
#ifndef TRIVET_FLOW_H
#define TRIVET_FLOW_H

#include "event.h"

enum flow_state {
	FLOW_OPEN,
	FLOW_CLOSED,  /* the counts are final */
	FLOW_REFUSED, /* policy refused the first packet, or the system call before it */
};

enum flow_verdict {
	FLOW_FORWARDED,
	FLOW_DROPPED,
	FLOW_AUDIT, /* forwarded, though a rule in audit mode says drop */
};

enum flow_direction {
	FLOW_INGRESS,
	FLOW_EGRESS,
};

/* Where no rule of the policy gave the verdict. */
#define FLOW_RULE_DEFAULT  0xffffffffU
#define FLOW_RULE_FAILSAFE 0xfffffffeU

/*
 * A flow's account: totals since it began. It is sent when the flow opens, when its verdict
 * changes, once in each interval with traffic, and when it ends. header.task is the socket's owner.
 */
struct flow_event {
	struct event_header header;
	__u64 local_address[2]; /* 16 bytes in network order, IPv4 as ::ffff:a.b.c.d; 0: unknown */
	__u64 peer_address[2];
	__u16 local_port; /* host order; 0: unknown */
	__u16 peer_port;
	__u32 rule; /* its index in the policy of that epoch, or FLOW_RULE_* */
	__u64 epoch;
	__u64 first_ns; /* CLOCK_BOOTTIME */
	__u64 last_ns;
	__u64 sent_bytes; /* with IP headers */
	__u64 sent_packets;
	__u64 received_bytes;
	__u64 received_packets;
	__u64 dropped_packets;
	__u8 protocol;	/* IPPROTO_* */
	__u8 direction; /* enum flow_direction */
	__u8 verdict;	/* enum flow_verdict */
	__u8 state;	/* enum flow_state */
	__u32 reserved;
};
TRIVET_EVENT(flow_event, 192, 72 + 112, 1);

/* What is counted in the kernel for all flows together, per CPU. */
enum flow_counter {
	FLOW_COUNT_DROPPED_TCP, /* packets and refused calls, by protocol */
	FLOW_COUNT_DROPPED_UDP,
	FLOW_COUNT_DROPPED_OTHER,
	FLOW_COUNT_OPENED,
	FLOW_COUNT_ENDED,
	FLOW_COUNT_SOCKET_UNTRACKED,   /* packets of sockets for which there was no storage */
	FLOW_COUNT_DATAGRAM_UNCOUNTED, /* packets that found no room among the UDP flows */
	FLOW_COUNT_HANDSHAKE_EVICTED,  /* connections whose handshake packets went uncounted */
	FLOW_COUNT_UNREADABLE,	       /* packets whose headers could not be read */
	FLOW_COUNTERS,
};

#endif /* TRIVET_FLOW_H */
