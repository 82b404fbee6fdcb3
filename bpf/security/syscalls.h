/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What rules are judged on: system calls, as they returned. Which calls there are, by what numbers,
 * is one table of the plugin (plugins/security/calls.h), from which the build makes a header for
 * the kernel programs: what they read of a call is no setting.
 */
#ifndef TRIVET_SECURITY_SYSCALLS_H
#define TRIVET_SECURITY_SYSCALLS_H

#include "event.h"

#define CALLS_MAX      160
#define CALL_NUMBERS   512
#define CALL_ARGUMENTS 6

/*
 * The shape of a call: what is where among its arguments, which count from 0. An or of these. A
 * path starts from the folder of a descriptor among the arguments, or from the working directory.
 */
#define CALL_PATH(n)		       ((n) + 1)
#define CALL_PATH_AT(folder, n)	       (CALL_PATH(n) | ((folder) + 1) << 3)
#define CALL_SECOND_PATH(n)	       (CALL_PATH(n) << 6)
#define CALL_SECOND_PATH_AT(folder, n) (CALL_PATH_AT(folder, n) << 6)
#define CALL_DESCRIPTOR(n)	       (((n) + 1) << 12) /* what it refers to is told */
#define CALL_FLAGS(n)		       (((n) + 1) << 15) /* O_*, the mode behind them */
#define CALL_ADDRESS(n)		       (((n) + 1) << 18) /* of a peer, its size behind it */
/* The first path is any text: no folder belongs to it. */
#define CALL_TEXT(n)	   (CALL_PATH(n) | CALL_FIRST_IS_TEXT)
#define CALL_FIRST_IS_TEXT (1u << 21)
/* A descriptor is what it returns. */
#define CALL_RETURNS_DESCRIPTOR (1u << 22)
#define CALL_OPENS		(1u << 23) /* without CALL_FLAGS: creat, or a struct open_how */
#define CALL_OPEN_HOW		(1u << 24) /* its third argument is a struct open_how */
#define CALL_SENDS		(1u << 25) /* an address is optional */
#define CALL_MESSAGE		(1u << 26) /* its second argument is a struct msghdr */
#define CALL_SERVES		(1u << 27) /* of the socket, the own end is the server's */
/* Who called is who it was before: in a new user namespace anybody has every capability. */
#define CALL_JUDGED_AS_BEFORE (1u << 28)
#define CALL_FOLLOWS	      (1u << 29) /* a link that the first path ends in */
#define CALL_SECOND_FOLLOWS   (1u << 30)
/* One kind of it is told apart at once: its descriptor is a socket; of bpf, it loads a program. */
#define CALL_PICKS	    (1u << 31)
#define CALL_PICKED_COMMAND 5 /* BPF_PROG_LOAD */

#define CALL_INDEX(shape, what) ((shape) / (what) % 8)

/*
 * A profile is what the kernel can tell of a call at once: an or of these. A map says for each
 * call which of the 16 profiles some rule could match; the rest never leave the kernel.
 */
enum call_profile {
	PROFILE_FAILED = 1 << 0,
	PROFILE_READ = 1 << 1,	    /* opened for reading */
	PROFILE_WRITE = 1 << 2,	    /* opened for writing */
	PROFILE_DIRECTORY = 1 << 3, /* what was opened is a directory */
	PROFILE_ADDRESSED = 1 << 1, /* what is sent has an address */
	PROFILE_PICKED = 1 << 1,    /* it is of the kind that CALL_PICKS names */
	PROFILE_COUNT = 1 << 4,
};

/* The two requests of io_uring that open a file by its path. */
enum ring_call {
	RING_OPENAT,
	RING_OPENAT2,
	RING_CALLS,
};

/* What the build makes; a call is its place in the plugin's table. */
struct call_table {
	__u32 shapes[CALLS_MAX];
	__u8 native[CALL_NUMBERS]; /* by number: the call + 1; 0 for calls that are not in the table
				    */
	__u8 compat[CALL_NUMBERS]; /* the same for 32-bit calls */
	__u8 socketcall[32];	   /* and for those that go through socketcall */
	__u16 rings[RING_CALLS];
};

/* Switches only: the process that sets them is not trusted. */
struct syscalls_config {
	__u32 compat_hook;  /* 1: 32-bit calls are the hook compat's */
	__u32 own_tgids[2]; /* what trivet's own processes do is not told */
};

struct rings_config {
	__u32 own_tgids[2]; /* as in syscalls_config */
};

/* The one entry of an object's map calls_wanted, which changes as rules do. */
struct calls_wanted {
	__u16 profiles[CALLS_MAX]; /* bit p: profile p of that call is wanted */
};

/* PATH_MAX: what the kernel accepts as an argument and can return. */
#define CALL_PATH_MAX 4096
/* sizeof(sockaddr_un.sun_path) */
#define CALL_SOCKET_PATH_MAX 108

enum call_event_flags {
	CALL_HAS_SOCKET = 1 << 0, /* a struct call_socket is first in the tail */
	/* The socket has no such peer: the address is the caller's memory after the call. */
	CALL_PEER_FROM_CALLER = 1 << 1,
	CALL_SOCKET_CONNECTED = 1 << 2, /* the kernel knows a peer */
	CALL_FILE_UNKNOWN = 1 << 4,	/* opens: the file was not found, or may be another */
	CALL_ROOT_ELSEWHERE = 1 << 3,	/* paths: the caller's / is not that of its mounts */
};

/*
 * The tail holds, one after the other and without terminating NUL: the two paths as given (text),
 * the folders that they start from if they are relative (base), and of the descriptor the path
 * that the kernel has for its file, or that of a Unix socket (abstract: a NUL and the name), and
 * where only a part of a file system is mounted, that part's path within it (origin); last, of
 * calls that open nothing and where the kernel shows it, where the two paths led (resolved, and the
 * rest). header.socket_cookie is that of the descriptor's socket.
 */
struct syscall_event {
	struct event_header header;
	__s64 result; /* -errno if it failed */
	__u64 arguments[CALL_ARGUMENTS];
	__u64 inode;	  /* of the descriptor's file, or what the first path led to; 0: none */
	__u32 device;	  /* kernel's encoding: major << 20 | minor */
	__u32 file_mode;  /* st_mode */
	__u32 open_flags; /* opens: O_*, as given; creat's are O_WRONLY | O_CREAT | O_TRUNC */
	__u32 open_mode;  /* opens: permissions asked for a new file */
	__s32 descriptor; /* -1: none, or the call that would have made one failed */
	__u16 call;	  /* its place in the plugin's table */
	__u16 flags;	  /* enum call_event_flags */
	__u16 text_size[2];
	__u16 base_size[2];
	__u16 path_size;
	__u16 below_size; /* of the path: bytes at its end that are below the file's mount */
	__u16 origin_size;
	__u16 resolved_size;
};
TRIVET_EVENT(syscall_event, 67, 72 + 104, 1);

struct call_socket {
	__u16 family;	   /* AF_* */
	__u16 type;	   /* SOCK_* */
	__u16 protocol;	   /* IPPROTO_* */
	__u16 local_port;  /* host byte order */
	__u16 remote_port; /* host byte order */
	__u16 reserved[3];
	__u8 local[16]; /* network byte order; IPv4 in the first four */
	__u8 remote[16];
};

#endif /* TRIVET_SECURITY_SYSCALLS_H */
