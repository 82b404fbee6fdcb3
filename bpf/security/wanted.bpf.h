/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What rules want to be told. */
#ifndef TRIVET_SECURITY_WANTED_BPF_H
#define TRIVET_SECURITY_WANTED_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "security/syscalls.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_RDONLY_PROG);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct calls_wanted);
} calls_wanted SEC(".maps");

/* The profiles of a call that some rule could match. */
static __always_inline __u32 call__wanted(__u32 call)
{
	__u32 only = 0;
	struct calls_wanted *wanted = bpf_map_lookup_elem(&calls_wanted, &only);

	return wanted && call < CALLS_MAX ? wanted->profiles[call] : 0;
}

static __always_inline bool process__is_own(const volatile __u32 *own)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	return tgid == own[0] || tgid == own[1];
}

#endif /* TRIVET_SECURITY_WANTED_BPF_H */
