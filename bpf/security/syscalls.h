/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What rules are judged on: files opened, links made, sockets connected, as the call returned. */
#ifndef TRIVET_SECURITY_SYSCALLS_H
#define TRIVET_SECURITY_SYSCALLS_H

#include "event.h"

/* The calls seen. Falco names its event types after them. */
enum security_call {
	CALL_OPEN,
	CALL_OPENAT,
	CALL_OPENAT2,
	CALL_CREAT,
	CALL_OPEN_BY_HANDLE_AT,
	CALL_LINK,
	CALL_LINKAT,
	CALL_SYMLINK,
	CALL_SYMLINKAT,
	CALL_CONNECT,
	CALL_COUNT,
};

/*
 * A profile is what the kernel can tell of a call at once: an or of these. The settings say for
 * each call which of the 16 profiles some rule could match; the rest never leave the kernel.
 */
enum call_profile {
	PROFILE_FAILED = 1 << 0,
	PROFILE_READ = 1 << 1,	    /* opened for reading */
	PROFILE_WRITE = 1 << 2,	    /* opened for writing */
	PROFILE_DIRECTORY = 1 << 3, /* what was opened is a directory */
	PROFILE_COUNT = 1 << 4,
};

struct syscalls_config {
	__u16 wanted[CALL_COUNT]; /* bit p: profile p of that call is wanted */
	__u16 compat;		  /* 1: 32-bit calls are the hook compat's */
};

/* PATH_MAX: what the kernel accepts as an argument and can return. */
#define CALL_PATH_MAX 4096
/* sizeof(sockaddr_un.sun_path) */
#define CALL_SOCKET_PATH_MAX 108

/*
 * The tail holds, one after the other and without terminating NUL: the path as given (raw), the
 * path of the file that the kernel opened (path; none if the call failed), and the folder that a
 * relative raw path of a failed call starts from (base; none if it was absolute).
 */
struct file_open_event {
	struct event_header header;
	__s64 result;	 /* descriptor, or -errno */
	__u64 inode;	 /* 0: the call failed */
	__u32 device;	 /* kernel's encoding: major << 20 | minor */
	__u32 flags;	 /* O_*, as given; creat's are O_WRONLY | O_CREAT | O_TRUNC */
	__u32 mode;	 /* permissions asked for a new file */
	__u32 file_mode; /* st_mode of what was opened */
	__s32 directory; /* the dirfd argument; AT_FDCWD where there is none */
	__u16 call;	 /* enum security_call */
	__u16 raw_size;
	__u16 path_size;
	__u16 base_size;
	__u32 reserved;
};
TRIVET_EVENT(file_open_event, 64, 72 + 48, 1);

/* The tail holds old (a symlink's target), new, and the folders they start from if relative. */
struct file_link_event {
	struct event_header header;
	__s64 result;	     /* 0, or -errno */
	__s32 old_directory; /* dirfd; AT_FDCWD where there is none */
	__s32 new_directory;
	__u32 flags; /* AT_* of linkat */
	__u16 call;  /* enum security_call */
	__u16 old_size;
	__u16 new_size;
	__u16 old_base_size; /* a symlink's target has none */
	__u16 new_base_size;
	__u16 reserved[3];
};
TRIVET_EVENT(file_link_event, 65, 72 + 40, 1);

enum connect_flags {
	/* The socket has no peer (it failed): the address is the caller's memory after the call. */
	CONNECT_PEER_FROM_CALLER = 1 << 0,
};

/* header.socket_cookie is the socket. The tail holds the path of a Unix peer (abstract: "@name").
 */
struct socket_connect_event {
	struct event_header header;
	__s64 result; /* 0, or -errno */
	__s32 descriptor;
	__u32 flags;	   /* enum connect_flags */
	__u16 family;	   /* AF_* */
	__u16 type;	   /* SOCK_* */
	__u16 protocol;	   /* IPPROTO_* */
	__u16 call;	   /* enum security_call */
	__u16 local_port;  /* host byte order */
	__u16 remote_port; /* host byte order */
	__u16 path_size;
	__u16 reserved;
	__u8 local[16]; /* network byte order; IPv4 in the first four */
	__u8 remote[16];
};
TRIVET_EVENT(socket_connect_event, 66, 72 + 64, 1);

#endif /* TRIVET_SECURITY_SYSCALLS_H */
