// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Opens, links and connects, told once, as the call returns: the file or socket is then taken from
 * the kernel's own tables, whatever the caller wrote or rewrites in its memory. Only the exit is
 * hooked: the arguments are still in the saved registers, so there is nothing to stash, and nothing
 * to miss.
 *
 * Two tiers. One tracepoint for each call costs every other system call about 70 ns and misses
 * 32-bit calls, which have no such tracepoint, and which any 64-bit program can make too: int
 * $0x80. The hook "compat" adds those. The raw sys_exit costs more than twice as much, and sees
 * all.
 */
#include "lanes.bpf.h"
#include <bpf/bpf_endian.h>
#include "security/calls.bpf.h"
#include "security/tail.bpf.h"
#include "task_changes.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_UNIX	  1
#define AF_INET	  2
#define AF_INET6  10
#define O_ACCMODE 3
#define O_WRONLY  1
#define O_RDWR	  2
#define O_CREAT	  0100
#define O_TRUNC	  01000
#define S_IFMT	  0170000
#define S_IFSOCK  0140000
#define S_IFDIR	  0040000

const volatile struct syscalls_config config = {};

static __always_inline bool call__wanted(enum security_call call, __u32 profile)
{
	return config.wanted[call] >> profile & 1;
}

#define call__filtered(name)                                                                       \
	({                                                                                         \
		lane__count(LANE_CANDIDATE, name##_id, offered);                                   \
		lane__count(LANE_CANDIDATE, name##_id, filtered);                                  \
		0;                                                                                 \
	})

static __noinline int open__returned(enum security_call call, struct call_arguments *arguments,
				     long result)
{
	struct call_scratch *scratch = call_scratch();
	struct file *file = NULL;
	struct open_how how = {};
	struct file_open_event *event;
	__u64 raw = arguments->value[1];
	__s32 directory = arguments->value[0];
	__u32 profile = 0, file_mode = 0;

	if (!scratch || call < CALL_OPEN || call > CALL_OPEN_BY_HANDLE_AT)
		return 0;
	switch (call) {
	case CALL_OPEN:
	case CALL_CREAT:
		raw = arguments->value[0];
		directory = AT_FDCWD;
		how.flags = arguments->value[1];
		how.mode = arguments->value[2];
		if (call == CALL_CREAT) {
			how.flags = O_WRONLY | O_CREAT | O_TRUNC;
			how.mode = arguments->value[1];
		}
		break;
	case CALL_OPENAT2:
		bpf_probe_read_user(&how, sizeof(how), (const void *)arguments->value[2]);
		break;
	case CALL_OPEN_BY_HANDLE_AT:
		raw = 0;
		how.flags = arguments->value[2];
		break;
	default:
		how.flags = arguments->value[2];
		how.mode = arguments->value[3];
	}

	if (result < 0) {
		profile |= PROFILE_FAILED;
	} else {
		file = file_of(result);
		/* Closed again by another thread, or io_uring's table: the result stands. */
		if (file) {
			file_mode = BPF_CORE_READ(file, f_inode, i_mode);
			/* The caller's open_how may have changed since; the file has not. */
			how.flags = (how.flags & ~O_ACCMODE) |
				    (BPF_CORE_READ(file, f_flags) & O_ACCMODE);
		}
	}
	if ((how.flags & O_ACCMODE) != O_WRONLY)
		profile |= PROFILE_READ;
	if (how.flags & O_ACCMODE)
		profile |= PROFILE_WRITE;
	if ((file_mode & S_IFMT) == S_IFDIR)
		profile |= PROFILE_DIRECTORY;
	if (!call__wanted(call, profile))
		return call__filtered(file_open_event);

	event = &scratch->open.event;
	event->result = result;
	event->inode = file ? BPF_CORE_READ(file, f_inode, i_ino) : 0;
	event->device = file ? BPF_CORE_READ(file, f_inode, i_sb, s_dev) : 0;
	event->flags = how.flags;
	event->mode = how.flags & O_CREAT ? how.mode : 0;
	event->file_mode = file_mode;
	event->directory = directory;
	event->call = call;
	event->reserved = 0;
	event->path_size = 0;
	event->base_size = 0;
	event->raw_size = tail__add_argument(scratch->open.tail, 0, raw);
	if (file)
		event->path_size =
			tail__add_path(scratch, scratch->open.tail, event->raw_size, path_of(file));
	else
		event->base_size =
			tail__add_base(scratch, scratch->open.tail, event->raw_size,
				       event->raw_size ? scratch->open.tail[0] : '/', directory);
	task__tell_changes();
	header__set_current(&event->header);
	event->header.socket_cookie = 0;
	event->header.cause_id = 0;
	event_send(LANE_CANDIDATE, file_open_event, event,
		   sizeof(*event) + event->raw_size + event->path_size + event->base_size,
		   sizeof(scratch->open));
	return 0;
}

static __noinline int link__returned(enum security_call call, struct call_arguments *arguments,
				     long result)
{
	struct call_scratch *scratch = call_scratch();
	struct file_link_event *event;
	__u64 old = arguments->value[0], new = arguments->value[1];
	char *tail, first;
	__u32 used;

	if (!scratch || call < CALL_LINK || call > CALL_SYMLINKAT)
		return 0;
	if (!call__wanted(call, result < 0 ? PROFILE_FAILED : 0))
		return call__filtered(file_link_event);
	event = &scratch->link.event;
	tail = scratch->link.tail;
	event->old_directory = AT_FDCWD;
	event->new_directory = AT_FDCWD;
	event->flags = 0;
	if (call == CALL_LINKAT) {
		event->old_directory = arguments->value[0];
		old = arguments->value[1];
		event->new_directory = arguments->value[2];
		new = arguments->value[3];
		event->flags = arguments->value[4];
	} else if (call == CALL_SYMLINKAT) {
		event->new_directory = arguments->value[1];
		new = arguments->value[2];
	}
	event->result = result;
	event->call = call;
	event->reserved[0] = event->reserved[1] = event->reserved[2] = 0;

	event->old_size = tail__add_argument(tail, 0, old);
	used = event->old_size;
	event->new_size = tail__add_argument(tail, used, new);
	first = event->new_size ? tail[tail__bound(used)] : '/';
	used += event->new_size;
	event->old_base_size = 0;
	if (event->old_size && (call == CALL_LINK || call == CALL_LINKAT))
		event->old_base_size =
			tail__add_base(scratch, tail, used, tail[0], event->old_directory);
	used += event->old_base_size;
	event->new_base_size = tail__add_base(scratch, tail, used, first, event->new_directory);
	used += event->new_base_size;

	task__tell_changes();
	header__set_current(&event->header);
	event->header.socket_cookie = 0;
	event->header.cause_id = 0;
	event_send(LANE_CANDIDATE, file_link_event, event, sizeof(*event) + used,
		   sizeof(scratch->link));
	return 0;
}

/* What the caller passed, for a socket that kept no peer. */
static __always_inline void connect__read_caller(struct socket_connect_event *event, char *tail,
						 __u64 address, __u64 size)
{
	union {
		__u16 family;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} peer = {};

	/* 64 bits wide throughout: the verifier loses a bound that is tested in half a register. */
	asm volatile("" : "+r"(size));
	if (size > sizeof(peer))
		size = sizeof(peer);
	event->flags |= CONNECT_PEER_FROM_CALLER;
	if (bpf_probe_read_user(&peer, size, (const void *)address) || peer.family != event->family)
		return;
	if (peer.family == AF_INET) {
		event->remote_port = bpf_ntohs(peer.in.sin_port);
		__builtin_memcpy(event->remote, &peer.in.sin_addr, 4);
	} else if (peer.family == AF_INET6) {
		event->remote_port = bpf_ntohs(peer.in6.sin6_port);
		__builtin_memcpy(event->remote, &peer.in6.sin6_addr, 16);
	} else if (peer.family == AF_UNIX) {
		long length = bpf_probe_read_user_str(tail, CALL_SOCKET_PATH_MAX,
						      (const void *)(address + 2));

		event->path_size = length > 0 ? length - 1 : 0;
	}
}

/* The peer as the kernel has it. False where it has none. */
static __always_inline bool connect__read_peer(struct socket_connect_event *event, char *tail,
					       struct sock *sk)
{
	if (event->family == AF_INET || event->family == AF_INET6) {
		__be16 port = BPF_CORE_READ(sk, __sk_common.skc_dport);

		event->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
		if (event->family == AF_INET) {
			BPF_CORE_READ_INTO((__be32 *)event->local, sk, __sk_common.skc_rcv_saddr);
			BPF_CORE_READ_INTO((__be32 *)event->remote, sk, __sk_common.skc_daddr);
		} else {
			BPF_CORE_READ_INTO((struct in6_addr *)event->local, sk,
					   __sk_common.skc_v6_rcv_saddr);
			BPF_CORE_READ_INTO((struct in6_addr *)event->remote, sk,
					   __sk_common.skc_v6_daddr);
		}
		event->remote_port = bpf_ntohs(port);
		return port != 0;
	}
	if (event->family == AF_UNIX) {
		struct unix_sock *unix_socket = (void *)sk;
		struct unix_sock *peer = (void *)BPF_CORE_READ(unix_socket, peer);
		struct unix_address *address = BPF_CORE_READ(peer, addr);
		__u64 size = (__u32)BPF_CORE_READ(address, len) - sizeof(__u16);

		asm volatile("" : "+r"(size));
		if (!peer || !address || size > CALL_SOCKET_PATH_MAX)
			return false;
		bpf_probe_read_kernel(tail, size, (char *)address->name + sizeof(__u16));
		event->path_size = size;
		return true;
	}
	return false;
}

static __noinline int connect__returned(struct call_arguments *arguments, long result)
{
	struct call_scratch *scratch = call_scratch();
	struct file *file = file_of(arguments->value[0]);
	struct socket_connect_event *event;
	struct socket *socket;
	struct sock *sk;

	if (!scratch)
		return 0;
	if (!call__wanted(CALL_CONNECT, result < 0 ? PROFILE_FAILED : 0))
		return call__filtered(socket_connect_event);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return call__filtered(socket_connect_event); /* EBADF, ENOTSOCK */
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);

	event = &scratch->connect.event;
	__builtin_memset(event, 0, sizeof(*event));
	event->result = result;
	event->descriptor = arguments->value[0];
	event->call = CALL_CONNECT;
	event->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	event->type = BPF_CORE_READ(sk, sk_type);
	event->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (!connect__read_peer(event, scratch->connect.tail, sk))
		connect__read_caller(event, scratch->connect.tail, arguments->value[1],
				     arguments->value[2]);
	task__tell_changes();
	header__set_current(&event->header);
	/* 0 until something asked the kernel for the cookie; this hook's tiers cannot all ask. */
	event->header.socket_cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	event_send(LANE_CANDIDATE, socket_connect_event, event, sizeof(*event) + event->path_size,
		   sizeof(scratch->connect));
	return 0;
}

/* Tier "tracepoint": one program for each call. */
#define CALL_RETURNED(name, body)                                                                  \
	SEC("tracepoint/syscalls/sys_exit_" #name)                                                 \
	int name##_exit(struct trace_event_raw_sys_exit *context)                                  \
	{                                                                                          \
		struct task_struct *task = bpf_get_current_task_btf();                             \
		struct call_arguments arguments;                                                   \
		long result = context->ret;                                                        \
                                                                                                   \
		arguments__read(&arguments, (struct pt_regs *)bpf_task_pt_regs(task));             \
		return body;                                                                       \
	}

#ifdef __TARGET_ARCH_x86 /* newer architectures have the *at calls only */
CALL_RETURNED(open, open__returned(CALL_OPEN, &arguments, result))
CALL_RETURNED(creat, open__returned(CALL_CREAT, &arguments, result))
CALL_RETURNED(link, link__returned(CALL_LINK, &arguments, result))
CALL_RETURNED(symlink, link__returned(CALL_SYMLINK, &arguments, result))
#endif
CALL_RETURNED(openat, open__returned(CALL_OPENAT, &arguments, result))
CALL_RETURNED(openat2, open__returned(CALL_OPENAT2, &arguments, result))
CALL_RETURNED(open_by_handle_at, open__returned(CALL_OPEN_BY_HANDLE_AT, &arguments, result))
CALL_RETURNED(linkat, link__returned(CALL_LINKAT, &arguments, result))
CALL_RETURNED(symlinkat, link__returned(CALL_SYMLINKAT, &arguments, result))
CALL_RETURNED(connect, connect__returned(&arguments, result))

/* Tier "tp_btf": the exit of every call, told apart by number. 32-bit calls are left to "compat".
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(open_raw_exit, struct pt_regs *regs, long result)
{
	bool compat = task__in_compat_call();
	enum security_call call = compat && config.compat ? CALL_COUNT : call__read(regs, compat);
	struct call_arguments arguments;

	if (call > CALL_OPEN_BY_HANDLE_AT)
		return 0;
	arguments__read_any(&arguments, regs, compat);
	return open__returned(call, &arguments, result);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(link_raw_exit, struct pt_regs *regs, long result)
{
	bool compat = task__in_compat_call();
	enum security_call call = compat && config.compat ? CALL_COUNT : call__read(regs, compat);
	struct call_arguments arguments;

	if (call < CALL_LINK || call > CALL_SYMLINKAT)
		return 0;
	arguments__read_any(&arguments, regs, compat);
	return link__returned(call, &arguments, result);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(connect_raw_exit, struct pt_regs *regs, long result)
{
	bool compat = task__in_compat_call();
	struct call_arguments arguments;

	if ((compat && config.compat) || call__read(regs, compat) != CALL_CONNECT)
		return 0;
	arguments__read_any(&arguments, regs, compat);
	return connect__returned(&arguments, result);
}

#ifdef __TARGET_ARCH_x86
/*
 * Hook "compat": 32-bit calls of whatever program. The kernel has no tracepoint of its own for
 * them; what all other calls pay is this program's first line.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(compat_exit, struct pt_regs *regs, long result)
{
	struct call_arguments arguments;
	enum security_call call;

	if (!task__in_compat_call())
		return 0;
	call = call__read(regs, true);
	if (call >= CALL_COUNT)
		return 0;
	arguments__read_any(&arguments, regs, true);
	result = (__s32)result;
	if (call == CALL_CONNECT)
		return connect__returned(&arguments, result);
	if (call >= CALL_LINK)
		return link__returned(call, &arguments, result);
	return open__returned(call, &arguments, result);
}
#endif
