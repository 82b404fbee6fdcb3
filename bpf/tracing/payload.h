/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes of TCP connections and DNS datagrams as the packets carried them, the tasks that sent and
 * received them, and the end of each socket. All in the bulk lane, so that the order of one
 * socket's events is the ring's.
 */
#ifndef TRIVET_PAYLOAD_H
#define TRIVET_PAYLOAD_H

#include "event.h"

enum payload_direction {
	PAYLOAD_RECEIVED, /* seen at cgroup_skb/ingress, before the socket's queue */
	PAYLOAD_SENT,	  /* seen at cgroup_skb/egress, before segmentation */
};

enum payload_flags {
	PAYLOAD_FIN = 1 << 0,
	PAYLOAD_RST = 1 << 1,
	/* Came to a listener with the handshake's last ACK: the child socket has no cookie yet. */
	PAYLOAD_LISTENER = 1 << 2,
	/* Nothing before it is still under way: a hole before it is a lost event, not a late
	   segment. */
	PAYLOAD_IN_ORDER = 1 << 3,
	/* The connection's first bytes in this direction. */
	PAYLOAD_FIRST = 1 << 4,
	/* Followed since its first byte: if that byte has not come up, it was lost on the way. */
	PAYLOAD_FOLLOWED = 1 << 5,
	/* The connection's first bytes: neither end has said anything before. */
	PAYLOAD_OPENING = 1 << 6,
	/* A whole datagram, of which only those are told that look like DNS. `ends` are the
	   packet's, and there are no sequence numbers. */
	PAYLOAD_DATAGRAM = 1 << 7,
};

/* The ends as the socket names them; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). */
struct socket_ends {
	__u8 local_address[16];
	__u8 peer_address[16];
	__u16 local_port; /* host byte order, as peer_port */
	__u16 peer_port;
};

/* Records with bytes are a multiple of this, so that they are filled by windows of constant size.
 */
#define PAYLOAD_STEP 256
/* The largest GSO packet, BIG TCP's, has 8 * 65535 bytes; loopback sends larger ones than 64 KiB.
 */
#define PAYLOAD_BYTES_MAX (512 << 10)

/* One segment, or many that travel as one packet. The tail begins with `captured_bytes` bytes. */
struct socket_payload_event {
	struct event_header
		header; /* no task: at ingress, whoever was interrupted would be named */
	struct socket_ends ends;
	__u32 tcp_sequence; /* of the first byte */
	__u32 tcp_ack;	    /* what the sender had received when it sent this */
	__u32 payload_bytes;
	__u32 captured_bytes; /* fewer where the rest of a long message is not wanted */
	__u8 direction;	      /* enum payload_direction */
	__u8 flags;	      /* enum payload_flags */
	/* 1: text above TLS, taken from a call of header.task. Its sequence numbers count text, and
	   tcp_ack is what this end had said or read by then. */
	__u8 above_tls;
	__u8 reserved;
};
TRIVET_EVENT(socket_payload_event, 128, 128, 1);

/* Another task than before sends or receives on this socket: header.task is that task. */
struct socket_owner_event {
	struct event_header header;
	struct socket_ends ends;
	__u8 direction; /* enum payload_direction */
	__u8 datagrams; /* 1: a UDP socket */
	__u8 reserved[2];
};
TRIVET_EVENT(socket_owner_event, 129, 112, 1);

/* The socket has reached TCP_CLOSE. */
struct socket_close_event {
	struct event_header header;
};
TRIVET_EVENT(socket_close_event, 130, 72, 1);

/* What user space decides of a socket: the value of `verdicts`, whose key is the cookie. */
enum payload_verdict {
	PAYLOAD_BOUNDED, /* no bytes past run_bytes; absent: nor past open_bytes */
	PAYLOAD_IGNORE,	 /* nothing more; kept with the socket, so that the entry may go again */
	PAYLOAD_WHOLE,	 /* every byte */
};

/* Non-HTTP sockets that may be decided within the ten seconds that an entry stays. */
#define PAYLOAD_VERDICTS 65536

struct payload_config {
	/* Bytes told in one direction until the other one speaks; lengths are told beyond. */
	__u32 run_bytes;
	/* The same where no verdict has come, and no head has shown that the body has no chunks: of
	   chunks, and of rows of a database, every byte is needed. */
	__u32 open_bytes;
	__u32 datagrams; /* whether DNS in datagrams is told */
};

#endif /* TRIVET_PAYLOAD_H */
