/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which call a task returns from, and the arguments that it had: they are still in the registers
 * that were saved when it entered the kernel.
 */
#ifndef TRIVET_SECURITY_CALLS_BPF_H
#define TRIVET_SECURITY_CALLS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "security/syscalls.h"

/* Arguments of a call in the order of its prototype. */
struct call_arguments {
	__u64 value[5];
};

static __always_inline void arguments__read(struct call_arguments *arguments, struct pt_regs *regs)
{
	arguments->value[0] = PT_REGS_PARM1_CORE_SYSCALL(regs);
	arguments->value[1] = PT_REGS_PARM2_CORE_SYSCALL(regs);
	arguments->value[2] = PT_REGS_PARM3_CORE_SYSCALL(regs);
	arguments->value[3] = PT_REGS_PARM4_CORE_SYSCALL(regs);
	arguments->value[4] = PT_REGS_PARM5_CORE_SYSCALL(regs);
}

static __always_inline bool task__in_compat_call(void)
{
#ifdef __TARGET_ARCH_x86
	/* A plain load: this is asked at the exit of every call. */
	return bpf_get_current_task_btf()->thread_info.status & 2; /* TS_COMPAT */
#else
	return false;
#endif
}

/* By number (asm/unistd_64.h, unistd_32.h); CALL_COUNT for any other call. */
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

#define COMPAT_SOCKETCALL	  102
#define COMPAT_SOCKETCALL_CONNECT 3

static __always_inline enum security_call call__read(struct pt_regs *regs, bool compat)
{
	__u64 number = call__number(regs);

#ifdef __TARGET_ARCH_x86
	if (compat && number == COMPAT_SOCKETCALL)
		return (__u32)BPF_CORE_READ(regs, bx) == COMPAT_SOCKETCALL_CONNECT ? CALL_CONNECT
										   : CALL_COUNT;
#endif
	return call_of(number, compat);
}

/*
 * 32-bit x86 calls pass bx, cx, dx, si, di, and come in half of each register; socketcall's
 * arguments are an array that cx points to.
 */
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
		if (call__number(regs) == COMPAT_SOCKETCALL) {
			__u32 inner[3] = {};

			bpf_probe_read_user(inner, sizeof(inner),
					    (const void *)arguments->value[1]);
			arguments->value[0] = inner[0];
			arguments->value[1] = inner[1];
			arguments->value[2] = inner[2];
		}
	}
#endif
}

#endif /* TRIVET_SECURITY_CALLS_BPF_H */
