// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Opens, links and connects, told once, as the call returns: the file or socket is then taken from
 * the kernel's own tables, whatever the caller wrote or rewrites in its memory. Only the exit is
 * hooked: the arguments are still in the saved registers, so there is nothing to stash, and nothing
 * to miss.
 *
 * Two tiers. One tracepoint for each call costs every other system call about 70 ns and misses
 * 32-bit calls, which have no such tracepoint. The raw sys_exit costs them more than twice that,
 * and sees all.
 */
#include "lanes.bpf.h"
#include "path.bpf.h"
#include <bpf/bpf_endian.h>
#include "security/syscalls.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AT_FDCWD  -100
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

/* Room for the paths of an event; each of the up to four is at most CALL_PATH_MAX long. */
#define TAIL_MAX (4 * CALL_PATH_MAX)

const volatile struct syscalls_config config = {};

/* An event under construction. None of these programs ever interrupts another on its CPU. */
struct call_scratch {
	union {
		struct {
			struct file_open_event event;
			char tail[TAIL_MAX];
		} open;
		struct {
			struct file_link_event event;
			char tail[TAIL_MAX];
		} link;
		struct {
			struct socket_connect_event event;
			char tail[CALL_SOCKET_PATH_MAX];
		} connect;
	};
	struct path_buffer path;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct call_scratch);
} call_scratches SEC(".maps");

static __always_inline struct call_scratch *call_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&call_scratches, &zero);
}

/* Where the next path of a tail goes: at most three are before it. */
static __always_inline __u32 tail__bound(__u32 used)
{
	asm volatile("" : "+r"(used));
	return used > 3 * CALL_PATH_MAX ? 3 * CALL_PATH_MAX : used;
}

/* Each tail__add_* appends to a tail of which `used` bytes are taken, and answers the bytes added.
 */
static __noinline __u32 tail__add_argument(char *tail, __u32 used, __u64 argument)
{
	long size = bpf_probe_read_user_str(tail + tail__bound(used), CALL_PATH_MAX,
					    (const void *)argument);

	return size > 0 ? size - 1 : 0;
}

static __noinline __u32 tail__add_path(struct call_scratch *scratch, char *tail, __u32 used,
				       struct path *path)
{
	return path__read(path, &scratch->path, tail + tail__bound(used));
}

static __always_inline struct file *file_of(__s32 descriptor)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files = BPF_CORE_READ(table, fd);
	struct file *file = NULL;

	if (descriptor < 0 || (__u32)descriptor >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files + descriptor);
	return file;
}

static __always_inline struct path *path_of(struct file *file)
{
	return __builtin_preserve_access_index((struct path *)&file->f_path);
}

/* The folder that a relative path starts from. Nothing for an absolute one. */
static __always_inline __u32 tail__add_base(struct call_scratch *scratch, char *tail, __u32 used,
					    char first, __s32 directory)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct path *path;

	if (first == '/')
		return 0;
	if (directory == AT_FDCWD) {
		struct fs_struct *fs = BPF_CORE_READ(task, fs);

		path = __builtin_preserve_access_index(&fs->pwd);
	} else {
		struct file *file = file_of(directory);

		if (!file)
			return 0;
		path = path_of(file);
	}
	return tail__add_path(scratch, tail, used, path);
}

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

/* Arguments of a call in the order of its prototype. */
struct call_arguments {
	__u64 value[5];
};

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
	header__set_current(&event->header);
	/* 0 until something asked the kernel for the cookie; this hook's tiers cannot all ask. */
	event->header.socket_cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	event_send(LANE_CANDIDATE, socket_connect_event, event, sizeof(*event) + event->path_size,
		   sizeof(scratch->connect));
	return 0;
}

static __always_inline void arguments__read(struct call_arguments *arguments, struct pt_regs *regs)
{
	arguments->value[0] = PT_REGS_PARM1_CORE_SYSCALL(regs);
	arguments->value[1] = PT_REGS_PARM2_CORE_SYSCALL(regs);
	arguments->value[2] = PT_REGS_PARM3_CORE_SYSCALL(regs);
	arguments->value[3] = PT_REGS_PARM4_CORE_SYSCALL(regs);
	arguments->value[4] = PT_REGS_PARM5_CORE_SYSCALL(regs);
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

/* Tier "tp_btf": the exit of every call, told apart by number (asm/unistd_64.h, unistd_32.h). */
static __always_inline bool task__in_compat_call(void)
{
#ifdef __TARGET_ARCH_x86
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & 2; /* TS_COMPAT */
#else
	return false;
#endif
}

static __always_inline enum security_call call_of(__u64 number, bool compat)
{
#ifdef __TARGET_ARCH_x86
	if (compat) {
		switch (number) {
		case 5:
			return CALL_OPEN;
		case 8:
			return CALL_CREAT;
		case 9:
			return CALL_LINK;
		case 83:
			return CALL_SYMLINK;
		case 295:
			return CALL_OPENAT;
		case 303:
			return CALL_LINKAT;
		case 304:
			return CALL_SYMLINKAT;
		case 342:
			return CALL_OPEN_BY_HANDLE_AT;
		case 362:
			return CALL_CONNECT;
		case 437:
			return CALL_OPENAT2;
		}
		return CALL_COUNT;
	}
	switch (number) {
	case 2:
		return CALL_OPEN;
	case 42:
		return CALL_CONNECT;
	case 85:
		return CALL_CREAT;
	case 86:
		return CALL_LINK;
	case 88:
		return CALL_SYMLINK;
	case 257:
		return CALL_OPENAT;
	case 265:
		return CALL_LINKAT;
	case 266:
		return CALL_SYMLINKAT;
	case 304:
		return CALL_OPEN_BY_HANDLE_AT;
	case 437:
		return CALL_OPENAT2;
	}
#else
	switch (number) {
	case 36:
		return CALL_SYMLINKAT;
	case 37:
		return CALL_LINKAT;
	case 56:
		return CALL_OPENAT;
	case 203:
		return CALL_CONNECT;
	case 265:
		return CALL_OPEN_BY_HANDLE_AT;
	case 437:
		return CALL_OPENAT2;
	}
#endif
	return CALL_COUNT;
}

static __always_inline __u64 call__number(struct pt_regs *regs)
{
#ifdef __TARGET_ARCH_x86
	return (__s32)BPF_CORE_READ(regs, orig_ax);
#else
	return BPF_CORE_READ(regs, syscallno);
#endif
}

/* 32-bit x86 calls pass bx, cx, dx, si, di, and come in half of each register. */
static __always_inline void arguments__read_any(struct call_arguments *arguments,
						struct pt_regs *regs, bool compat)
{
	arguments__read(arguments, regs);
#ifdef __TARGET_ARCH_x86
	if (compat) {
		arguments->value[0] = (__u32)BPF_CORE_READ(regs, bx);
		arguments->value[1] = (__u32)BPF_CORE_READ(regs, cx);
		arguments->value[2] = (__u32)BPF_CORE_READ(regs, dx);
		arguments->value[3] = (__u32)BPF_CORE_READ(regs, si);
		arguments->value[4] = (__u32)BPF_CORE_READ(regs, di);
	}
#endif
}

SEC("tp_btf/sys_exit")
int BPF_PROG(open_raw_exit, struct pt_regs *regs, long result)
{
	bool compat = task__in_compat_call();
	enum security_call call = call_of(call__number(regs), compat);
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
	enum security_call call = call_of(call__number(regs), compat);
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

	if (call_of(call__number(regs), compat) != CALL_CONNECT)
		return 0;
	arguments__read_any(&arguments, regs, compat);
	return connect__returned(&arguments, result);
}
