/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What programs hand to their TLS library and get from it, tied to the socket that carries it, and
 * the files with code that may be such a library. The text itself is told as socket_payload_event.
 */
#ifndef TRIVET_TLS_CALLS_H
#define TRIVET_TLS_CALLS_H

#include "event.h"

/* The function at which a probe is: what user space passes along with its place. */
enum tls_function {
	TLS_READ = 1, /* int read(session, buffer, size): bytes read, 0 at the end */
	TLS_WRITE,    /* int write(session, buffer, size): bytes written */
	TLS_READ_EX,  /* int read(session, buffer, size, &bytes): 1 where it is done */
	TLS_WRITE_EX,
	TLS_HANDSHAKE, /* moves bytes of the socket, but no text */
	TLS_SHUTDOWN,  /* this end has said all */
	TLS_FREE,      /* the session's address may become another one's */
	TLS_NEW,       /* session *new(context): from now on all of it is seen */
};

/* A file by what the kernel calls it: an inode's number is reused, with another generation. */
struct tls_file {
	__u64 inode;
	__u32 device;
	__u32 generation;
};

/* Code of a file that user space does not know runs: header.task is a process that maps it. */
struct tls_file_event {
	struct event_header header;
	struct tls_file file;
	__u64 address; /* within the mapping */
};
TRIVET_EVENT(tls_file_event, 131, 96, 1);

/* What user space has looked at: the value of `known_files`. */
enum tls_file_kind {
	TLS_FILE_PLAIN,
	TLS_FILE_PROBED, /* when it was last seen in use is told in `used_files` */
};

/* Distinct files with code on one host: some thousands. */
#define TLS_FILES_MAX 16384

/* Text that could not be told, by why: the index into `tls_losses`. */
enum tls_loss {
	TLS_LOSS_UNBOUND, /* calls that moved text of a session whose socket is not known */
	TLS_LOSS_NESTED,  /* calls within more calls than are followed */
	TLS_LOSS_COUNT,
};

struct tls_config {
	/* As payload_config has them; open_bytes hold until user space has given its verdict. */
	__u32 run_bytes;
	__u32 open_bytes;
};

#endif /* TRIVET_TLS_CALLS_H */
