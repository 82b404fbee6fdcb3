/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet sockets as they listen, connect, are first used and close: what host facts know of them.
 */
#ifndef TRIVET_SOCKETS_H
#define TRIVET_SOCKETS_H

#include "event.h"

/* States of a socket, TCP or not, are the kernel's numbers (tcp_states.h). */
#define SOCKET_UNCONNECTED 0 /* open, and no TCP: the kernel has no state for it */
#define SOCKET_ESTABLISHED 1
#define SOCKET_CLOSED	   7
#define SOCKET_LISTENING   10

enum socket_state_flags {
	SOCKET_HAS_PEER = 1 << 0,
	SOCKET_SNAPSHOT = 1 << 1,  /* told by the iterator, once for each task that holds it */
	SOCKET_CONNECTED = 1 << 2, /* TCP: this end called connect() */
};

/*
 * header.task is the socket's owner (tgid 0: not known yet): who listens or connects, or who first
 * sends or receives on it. In the bulk lane: sockets can be opened from outside, and must not push
 * out the life of processes; what is lost there the next snapshot repairs.
 */
struct socket_state_event {
	struct event_header header;
	__u8 local_address[16]; /* IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2) */
	__u8 peer_address[16];
	__u16 local_port; /* host byte order, as peer_port; 0: none yet */
	__u16 peer_port;
	__u8 protocol; /* IPPROTO_... */
	__u8 state;
	__u8 old_state;	     /* of a change of TCP's state; otherwise the same as state */
	__u8 error;	     /* errno that the socket has been given, such as ECONNRESET */
	__u32 net_namespace; /* inode number */
	__u32 flags;	     /* enum socket_state_flags */
	/* The rest is TCP's account, told when it closes; 0 before. */
	__u64 opened_ns;      /* first SYN sent or handshake ended; 0: before this was loaded */
	__u64 sent_bytes;     /* payload, each byte once */
	__u64 received_bytes; /* payload */
	__u32 retransmits;    /* segments sent again */
	__u32 rtt_us;	      /* smoothed */
};
TRIVET_EVENT(socket_state_event, 6, 152, 2);

#endif /* TRIVET_SOCKETS_H */
