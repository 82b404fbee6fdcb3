/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kernel types that the programs under bpf/ use; made by scripts/vmlinux. */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)

struct __sk_buff;
struct address_space;
struct bpf_dynptr;
struct bpf_iter__task;
struct bpf_iter__task_file;
struct bpf_iter__task_vma;
struct bpf_iter_meta;
struct bpf_sock;
struct bpf_sock_addr;
struct bpf_sock_tuple;
struct bpf_tcp_sock;
struct bpf_timer;
struct cgroup;
struct cgroup_bpf;
struct cgroup_root;
struct cgroup_subsys_state;
struct cred;
struct css_set;
struct dentry;
struct fdtable;
struct file;
struct filename;
struct files_struct;
struct fred_cs;
struct fred_ss;
struct fs_struct;
struct group_info;
struct hlist_bl_node;
struct hlist_head;
struct hlist_node;
struct in6_addr;
struct in_addr;
struct inet_connection_sock;
struct inet_sock;
struct inode;
struct io_cqe;
struct io_file_table;
struct io_kiocb;
struct io_open;
struct io_ring_ctx;
struct io_rings;
struct io_rsrc_data;
struct io_rsrc_node;
struct iphdr;
struct ipv6_opt_hdr;
struct ipv6hdr;
struct kernfs_node;
struct linux_binprm;
struct list_head;
struct mm_struct;
struct mnt_namespace;
struct module;
struct mount;
struct mptcp_sock;
struct msghdr;
struct mutex;
struct net;
struct net_device;
struct netns_bpf;
struct netns_ipv4;
struct netns_ipv6;
struct netns_packet;
struct nf_loginfo;
struct ns_common;
struct nsproxy;
struct open_how;
struct optimistic_spin_queue;
struct path;
struct percpu_counter;
struct percpu_ref;
struct percpu_ref_data;
struct pid;
struct pid_namespace;
struct pt_regs;
struct qspinlock;
struct qstr;
struct ratelimit_state;
struct raw_spinlock;
struct refcount_struct;
struct request;
struct seq_file;
struct seqcount;
struct seqcount_spinlock;
struct signal_struct;
struct sk_buff;
struct sock;
struct sock_common;
struct sockaddr_in;
struct sockaddr_in6;
struct sockaddr_un;
struct socket;
struct spinlock;
struct super_block;
struct task_struct;
struct tcp_sock;
struct tcphdr;
struct thread_info;
struct time_namespace;
struct timespec64;
struct trace_entry;
struct trace_event_raw_sys_exit;
struct tty_driver;
struct tty_port;
struct tty_struct;
struct udphdr;
struct unix_address;
struct unix_sock;
struct upid;
struct user_struct;
struct vfsmount;
struct vm_area_struct;

typedef signed char __s8;
typedef unsigned char __u8;
typedef short int __s16;
typedef short unsigned int __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long int __s64;
typedef long long unsigned int __u64;
typedef __u8 u8;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;

enum {
	false = 0,
	true = 1,
};

typedef long unsigned int __kernel_ulong_t;
typedef int __kernel_pid_t;
typedef unsigned int __kernel_uid32_t;
typedef unsigned int __kernel_gid32_t;
typedef __kernel_ulong_t __kernel_size_t;
typedef long long int __kernel_loff_t;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef u32 __kernel_dev_t;
typedef __kernel_dev_t dev_t;
typedef short unsigned int umode_t;
typedef __kernel_pid_t pid_t;
typedef _Bool bool;
typedef __kernel_uid32_t uid_t;
typedef __kernel_gid32_t gid_t;
typedef __kernel_loff_t loff_t;
typedef __kernel_size_t size_t;

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	s64 counter;
} atomic64_t;

struct list_head {
	struct list_head *next;
	struct list_head *prev;
};

struct hlist_head {
	struct hlist_node *first;
};

struct hlist_node {
	struct hlist_node *next;
	struct hlist_node **pprev;
};

struct thread_info {
	long unsigned int flags;
	long unsigned int syscall_work;
	u32 status;
	u32 cpu;
};

struct refcount_struct {
	atomic_t refs;
};

typedef struct refcount_struct refcount_t;

struct qspinlock {
	union {
		atomic_t val;
		struct {
			u8 locked;
			u8 pending;
		};
		struct {
			u16 locked_pending;
			u16 tail;
		};
	};
};

typedef struct qspinlock arch_spinlock_t;

struct raw_spinlock {
	arch_spinlock_t raw_lock;
};

typedef struct raw_spinlock raw_spinlock_t;
typedef atomic64_t atomic_long_t;

struct optimistic_spin_queue {
	atomic_t tail;
};

struct mutex {
	atomic_long_t owner;
	raw_spinlock_t wait_lock;
	struct optimistic_spin_queue osq;
	struct list_head wait_list;
};

typedef struct {
	uid_t val;
} kuid_t;

struct spinlock {
	union {
		struct raw_spinlock rlock;
	};
};

typedef struct spinlock spinlock_t;

struct seqcount {
	unsigned int sequence;
};

typedef struct seqcount seqcount_t;

struct seqcount_spinlock {
	seqcount_t seqcount;
};

typedef struct seqcount_spinlock seqcount_spinlock_t;

struct task_struct {
	struct thread_info thread_info;
	void *stack;
	unsigned int flags;
	struct mm_struct *mm;
	int exit_code;
	pid_t pid;
	pid_t tgid;
	struct task_struct *real_parent;
	struct task_struct *parent;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	struct signal_struct *signal;
	kuid_t loginuid;
	u64 self_exec_id;
	struct css_set *cgroups;
};

struct ratelimit_state {
	raw_spinlock_t lock;
	int interval;
	int burst;
	atomic_t rs_n_left;
	atomic_t missed;
	unsigned int flags;
	long unsigned int begin;
};

typedef __s64 time64_t;

struct timespec64 {
	time64_t tv_sec;
	long int tv_nsec;
};

struct fred_cs {
	u64 cs: 16;
	u64 sl: 2;
	u64 wfe: 1;
};

struct fred_ss {
	u64 ss: 16;
	u64 sti: 1;
	u64 swevent: 1;
	u64 nmi: 1;
	int: 13;
	u64 vector: 8;
	short: 8;
	u64 type: 4;
	char: 4;
	u64 enclave: 1;
	u64 lm: 1;
	u64 nested: 1;
	char: 1;
	u64 insnlen: 4;
};

struct pt_regs {
	long unsigned int r15;
	long unsigned int r14;
	long unsigned int r13;
	long unsigned int r12;
	long unsigned int bp;
	long unsigned int bx;
	long unsigned int r11;
	long unsigned int r10;
	long unsigned int r9;
	long unsigned int r8;
	long unsigned int ax;
	long unsigned int cx;
	long unsigned int dx;
	long unsigned int si;
	long unsigned int di;
	long unsigned int orig_ax;
	long unsigned int ip;
	union {
		u16 cs;
		u64 csx;
		struct fred_cs fred_cs;
	};
	long unsigned int flags;
	long unsigned int sp;
	union {
		u16 ss;
		u64 ssx;
		struct fred_ss fred_ss;
	};
};

typedef long unsigned int vm_flags_t;

struct percpu_counter {
	raw_spinlock_t lock;
	s64 count;
	struct list_head list;
	s32 *counters;
};

typedef struct {
	long unsigned int flags;
} mm_context_t;

typedef struct {
	long unsigned int __mm_flags[1];
} mm_flags_t;

struct mm_struct {
	struct {
		long unsigned int arg_start;
		long unsigned int arg_end;
		mm_context_t context;
		mm_flags_t flags;
		struct task_struct *owner;
		struct file *exe_file;
	};
};

struct vm_area_struct {
	union {
		struct {
			long unsigned int vm_start;
		};
	};
	union {
		const vm_flags_t vm_flags;
	};
	struct file *vm_file;
};

typedef struct {
	seqcount_spinlock_t seqcount;
	spinlock_t lock;
} seqlock_t;

enum module_state {
	MODULE_STATE_LIVE = 0,
};

struct module {
	enum module_state state;
	char name[56];
	const char *version;
	char *args;
};

enum pid_type {
	PIDTYPE_PGID = 2,
	PIDTYPE_SID = 3,
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	unsigned int level;
	struct pid_namespace *parent;
	struct ns_common ns;
};

typedef void __signalfn_t(int);
typedef void __restorefn_t(void);

typedef struct {
	gid_t val;
} kgid_t;

struct address_space {
	struct inode *host;
	long unsigned int flags;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	refcount_t count;
	unsigned int level;
	struct upid numbers[0];
};

typedef struct {
	u64 val;
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
	kuid_t fsuid;
	kgid_t fsgid;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
	struct user_struct *user;
	struct group_info *group_info;
};

struct nsproxy {
	refcount_t count;
	struct mnt_namespace *mnt_ns;
	struct net *net_ns;
	struct time_namespace *time_ns;
};

struct signal_struct {
	atomic_t live;
	int group_exit_code;
	unsigned int flags;
	struct pid *pids[4];
	int leader;
	struct tty_struct *tty;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct percpu_ref {
	struct percpu_ref_data *data;
};

struct cgroup_subsys_state {
	struct percpu_ref refcnt;
	int id;
	unsigned int flags;
	struct cgroup_subsys_state *parent;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

typedef struct {
	atomic64_t refcnt;
} file_ref_t;

struct file {
	void *private_data;
	struct inode *f_inode;
	unsigned int f_flags;
	union {
		const struct path f_path;
	};
	file_ref_t f_ref;
};

typedef unsigned int sk_buff_data_t;

struct sk_buff {
	union {
		struct {
			struct sk_buff *next;
		};
	};
	struct sock *sk;
	unsigned int len;
	__u8 peeked: 1;
	union {
		struct {
			__be16 protocol;
		};
	};
	sk_buff_data_t tail;
	sk_buff_data_t end;
	unsigned char *head;
	unsigned char *data;
};

struct hlist_bl_node {
	struct hlist_bl_node *next;
	struct hlist_bl_node **pprev;
};

struct qstr {
	union {
		struct {
			u32 hash;
			u32 len;
		};
		u64 hash_len;
	};
	const unsigned char *name;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	union {
		const struct qstr d_name;
	};
	struct inode *d_inode;
	struct super_block *d_sb;
};

struct inode {
	umode_t i_mode;
	kuid_t i_uid;
	kgid_t i_gid;
	struct super_block *i_sb;
	long unsigned int i_ino;
	time64_t i_mtime_sec;
	time64_t i_ctime_sec;
	u32 i_mtime_nsec;
	u32 i_ctime_nsec;
	u32 i_generation;
};

struct super_block {
	dev_t s_dev;
	long unsigned int s_magic;
	struct dentry *s_root;
};

struct vfsmount {
	struct dentry *mnt_root;
};

struct cgroup_bpf {
	u8 flags[38];
	struct percpu_ref refcnt;
};

struct cgroup {
	struct cgroup_subsys_state self;
	long unsigned int flags;
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup_bpf bpf;
};

struct user_struct {
	refcount_t __count;
	struct percpu_counter epoll_watches;
	long unsigned int unix_inflight;
	atomic_long_t pipe_bufs;
	struct hlist_node uidhash_node;
	kuid_t uid;
	atomic_long_t locked_vm;
	struct ratelimit_state ratelimit;
};

struct group_info {
	refcount_t usage;
	int ngroups;
	kgid_t gid[0];
};

struct percpu_ref_data {
	atomic_long_t count;
};

struct seq_file {
	size_t size;
	size_t from;
	size_t count;
	loff_t index;
	const struct file *file;
};

struct filename {
	const char *name;
	atomic_t refcnt;
};

struct kernfs_node {
	atomic_t count;
	struct kernfs_node *__parent;
	const char *name;
	const void *ns;
	short unsigned int flags;
	u64 id;
};

struct linux_binprm {
	struct vm_area_struct *vma;
	struct mm_struct *mm;
	struct file *executable;
	struct file *file;
	struct cred *cred;
	const char *filename;
};

struct netns_packet {
	struct mutex sklist_lock;
	struct hlist_head sklist;
};

struct netns_ipv4 {
};

struct netns_ipv6 {
};

struct netns_bpf {
};

struct net {
	struct ns_common ns;
	struct netns_packet packet;
	struct netns_ipv4 ipv4;
	struct netns_ipv6 ipv6;
	struct netns_bpf bpf;
};

struct time_namespace {
	struct ns_common ns;
};

struct cgroup_root {
	unsigned int flags;
	char name[64];
};

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

struct trace_entry {
	short unsigned int type;
	unsigned char flags;
	unsigned char preempt_count;
	int pid;
};

enum blk_eh_timer_return {
	BLK_EH_DONE = 0,
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be16 u6_addr16[8];
		__be32 u6_addr32[4];
	} in6_u;
};

typedef u8 u_int8_t;
typedef void nf_logfn(struct net *, u_int8_t, unsigned int, const struct sk_buff *, const struct net_device *, const struct net_device *, const struct nf_loginfo *, const char *);
typedef __u64 __be64;

struct fs_struct {
	int users;
	seqlock_t seq;
	int umask;
	int in_exec;
	struct path root;
	struct path pwd;
};

typedef short unsigned int __kernel_sa_family_t;

struct msghdr {
};

struct tty_struct {
	int index;
	struct tty_driver *driver;
	struct tty_port *port;
	char name[64];
	long unsigned int flags;
	int count;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	union {
		struct {
			__be32 skc_daddr;
			__be32 skc_rcv_saddr;
		};
	};
	union {
		struct {
			__be16 skc_dport;
			__u16 skc_num;
		};
	};
	short unsigned int skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	union {
		long unsigned int skc_flags;
	};
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
	u16 sk_protocol;
	u16 sk_type;
};

enum tty_driver_type {
	TTY_DRIVER_TYPE_SYSTEM = 0,
};

struct tty_driver {
	struct module *owner;
	const char *name;
	int major;
	int minor_start;
	enum tty_driver_type type;
	long unsigned int flags;
	struct tty_driver *other;
	struct tty_port **ports;
};

struct tty_port {
	struct tty_struct *tty;
	int count;
	long unsigned int flags;
};

struct net_device {
	long unsigned int state;
	unsigned int flags;
	char name[16];
	short unsigned int type;
	int group;
};

typedef enum {
	SS_FREE = 0,
} socket_state;

struct socket {
	socket_state state;
	short int type;
	long unsigned int flags;
	struct file *file;
	struct sock *sk;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
};

enum {
	TCP_ESTABLISHED = 1,
};

enum io_uring_op {
	IORING_OP_OPENAT = 18,
	IORING_OP_OPENAT2 = 28,
};

struct io_rsrc_data {
	unsigned int nr;
	struct io_rsrc_node **nodes;
};

struct io_file_table {
	struct io_rsrc_data data;
};

struct io_ring_ctx {
	struct {
		unsigned int flags;
		unsigned int compat: 1;
		struct io_rings *rings;
	};
	struct {
		struct io_file_table file_table;
	};
	struct user_struct *user;
};

typedef u64 io_req_flags_t;

struct io_cqe {
	__u64 user_data;
	__s32 res;
	union {
		__u32 flags;
		int fd;
	};
};

struct io_kiocb {
	union {
		struct file *file;
	};
	u8 opcode;
	io_req_flags_t flags;
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
};

enum fbq_type {
	remote = 1,
	all = 2,
};

struct trace_event_raw_sys_exit {
	struct trace_entry ent;
	long int id;
	long int ret;
	char __data[0];
};

struct bpf_iter_meta {
	union {
		struct seq_file *seq;
	};
};

struct open_how {
	__u64 flags;
	__u64 mode;
	__u64 resolve;
};

enum mq_rq_state {
	MQ_RQ_IDLE = 0,
};

struct request {
	enum mq_rq_state state;
};

struct bpf_dynptr {
	__u64 __opaque[2];
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
};

enum {
	BPF_F_NO_PREALLOC = 1,
	BPF_F_RDONLY_PROG = 128,
	BPF_F_CLONE = 512,
};

struct bpf_sock {
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 src_ip4;
	__u32 src_ip6[4];
	__u32 src_port;
	__be16 dst_port;
	__u32 dst_ip4;
	__u32 dst_ip6[4];
	__u32 state;
};

struct __sk_buff {
	__u32 len;
	__u32 protocol;
	__u32 data;
	__u32 family;
	__u32 remote_port;
	__u32 local_port;
	__u32 gso_segs;
	union {
		struct bpf_sock *sk;
	};
};

struct bpf_timer {
	__u64 __opaque[2];
};

struct bpf_iter__task {
	union {
		struct bpf_iter_meta *meta;
	};
	union {
		struct task_struct *task;
	};
};

struct bpf_iter__task_file {
	union {
		struct bpf_iter_meta *meta;
	};
	union {
		struct task_struct *task;
	};
	u32 fd;
	union {
		struct file *file;
	};
};

struct bpf_iter__task_vma {
	union {
		struct bpf_iter_meta *meta;
	};
	union {
		struct task_struct *task;
	};
	union {
		struct vm_area_struct *vma;
	};
};

enum {
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

enum {
	BPF_RB_AVAIL_DATA = 0,
	BPF_RB_RING_SIZE = 1,
};

enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_SK_STORAGE_GET_F_CREATE = 1,
};

struct bpf_sock_addr {
	__u32 user_ip4;
	__u32 user_ip6[4];
	__u32 user_port;
	__u32 family;
	__u32 type;
	__u32 protocol;
	union {
		struct bpf_sock *sk;
	};
};

enum sock_type {
	SOCK_STREAM = 1,
};

enum {
	IPPROTO_ICMP = 1,
	IPPROTO_TCP = 6,
	IPPROTO_UDP = 17,
	IPPROTO_AH = 51,
	IPPROTO_MPTCP = 262,
};

enum sock_flags {
	SOCK_DONE = 1,
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	struct mnt_namespace *mnt_ns;
};

struct mnt_namespace {
	struct ns_common ns;
	struct mount *root;
	u64 event;
};

struct sockaddr_un {
	__kernel_sa_family_t sun_family;
	char sun_path[108];
};

struct unix_address {
	refcount_t refcnt;
	int len;
	struct sockaddr_un name[0];
};

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
	struct path path;
	struct sock *peer;
	struct sock *listener;
};

typedef __u16 __sum16;

struct in_addr {
	__be32 s_addr;
};

struct sockaddr_in {
	__kernel_sa_family_t sin_family;
	__be16 sin_port;
	struct in_addr sin_addr;
	unsigned char __pad[8];
};

struct sockaddr_in6 {
	short unsigned int sin6_family;
	__be16 sin6_port;
	__be32 sin6_flowinfo;
	struct in6_addr sin6_addr;
	__u32 sin6_scope_id;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct tcphdr {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack_seq;
	__u16 ae: 1;
	__u16 res1: 3;
	__u16 doff: 4;
	__u16 fin: 1;
	__u16 syn: 1;
	__u16 rst: 1;
	__u16 psh: 1;
	__u16 ack: 1;
	__u16 urg: 1;
	__u16 ece: 1;
	__u16 cwr: 1;
	__be16 window;
	__sum16 check;
	__be16 urg_ptr;
};

struct iphdr {
	__u8 ihl: 4;
	__u8 version: 4;
	__u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	__u8 ttl;
	__u8 protocol;
	__sum16 check;
	union {
		struct {
			__be32 saddr;
			__be32 daddr;
		};
		struct {
			__be32 saddr;
			__be32 daddr;
		} addrs;
	};
};

struct ipv6_opt_hdr {
	__u8 nexthdr;
	__u8 hdrlen;
};

struct ipv6hdr {
	__u8 priority: 4;
	__u8 version: 4;
	__u8 flow_lbl[3];
	__be16 payload_len;
	__u8 nexthdr;
	__u8 hop_limit;
	union {
		struct {
			struct in6_addr saddr;
			struct in6_addr daddr;
		};
		struct {
			struct in6_addr saddr;
			struct in6_addr daddr;
		} addrs;
	};
};

struct udphdr {
	__be16 source;
	__be16 dest;
	__be16 len;
	__sum16 check;
};

typedef enum blk_eh_timer_return bsg_timeout_fn(struct request *);

struct io_rsrc_node {
	unsigned char type;
	union {
		long unsigned int file_ptr;
	};
};

enum {
	REQ_F_CQE_SKIP = 64ULL,
};

struct io_open {
	struct file *file;
	int dfd;
	u32 file_slot;
	struct filename *filename;
	struct open_how how;
};

struct inet_connection_sock {
};

struct tcp_sock {
	u16 gso_segs;
	u32 data_segs_out;
	u64 bytes_sent;
	u32 rcv_nxt;
	u32 snd_nxt;
	u32 srtt_us;
	u64 bytes_received;
	u64 bytes_retrans;
	u32 total_retrans;
};

typedef u16 u_int16_t;
typedef u32 u_int32_t;

struct bpf_tcp_sock {
	__u32 srtt_us;
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 total_retrans;
	__u32 data_segs_out;
	__u64 bytes_received;
};

struct bpf_sock_tuple {
	union {
		struct {
			__be32 saddr;
			__be32 daddr;
			__be16 sport;
			__be16 dport;
		} ipv4;
		struct {
			__be32 saddr[4];
			__be32 daddr[4];
			__be16 sport;
			__be16 dport;
		} ipv6;
	};
};

struct nf_loginfo {
	u_int8_t type;
	union {
		struct {
			u_int32_t copy_len;
			u_int16_t group;
			u_int16_t qthreshold;
			u_int16_t flags;
		} ulog;
		struct {
			u_int8_t level;
			u_int8_t logflags;
		} log;
	} u;
};

enum {
	TCP_FLAG_SYN = 512,
};

enum {
	BPF_F_CURRENT_NETNS = -1,
};

enum {
	BPF_TCP_ESTABLISHED = 1,
	BPF_TCP_SYN_SENT = 2,
	BPF_TCP_SYN_RECV = 3,
	BPF_TCP_CLOSE = 7,
	BPF_TCP_LISTEN = 10,
};

struct mptcp_sock {
	struct inet_connection_sock sk;
	u64 bytes_sent;
	u64 snd_nxt;
	u64 bytes_received;
	u64 ack_seq;
	u64 bytes_retrans;
	long unsigned int flags;
	struct sock *first;
};

#pragma clang attribute pop

#endif /* __VMLINUX_H__ */
