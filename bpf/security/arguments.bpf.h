/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which call a task returns from, and the arguments that it had: they are still in the registers
 * that were saved when it entered the kernel.
 */
#ifndef TRIVET_SECURITY_ARGUMENTS_BPF_H
#define TRIVET_SECURITY_ARGUMENTS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "security/syscalls.h"

#define COMPAT_SOCKETCALL 102

static __always_inline bool task__in_compat_call(void)
{
#ifdef __TARGET_ARCH_x86
	/* A plain load: this is asked at the exit of every call. */
	return bpf_get_current_task_btf()->thread_info.status & 2; /* TS_COMPAT */
#else
	return false;
#endif
}

static __always_inline __u64 call__number(struct pt_regs *regs)
{
#ifdef __TARGET_ARCH_x86
	__u64 number = (__s32)BPF_CORE_READ(regs, orig_ax);

	/* Else its sign is lost to older verifiers, which then know no bound. */
	barrier_var(number);
	return number;
#else
	return BPF_CORE_READ(regs, syscallno);
#endif
}

static __always_inline void arguments__read(__u64 *arguments, struct pt_regs *regs)
{
	arguments[0] = PT_REGS_PARM1_CORE_SYSCALL(regs);
	arguments[1] = PT_REGS_PARM2_CORE_SYSCALL(regs);
	arguments[2] = PT_REGS_PARM3_CORE_SYSCALL(regs);
	arguments[3] = PT_REGS_PARM4_CORE_SYSCALL(regs);
	arguments[4] = PT_REGS_PARM5_CORE_SYSCALL(regs);
#ifdef __TARGET_ARCH_x86
	arguments[5] = BPF_CORE_READ(regs, r9);
#else
	arguments[5] = BPF_CORE_READ((struct user_pt_regs *)regs, regs[5]);
#endif
}

#ifdef __TARGET_ARCH_x86
/*
 * 32-bit x86 calls pass bx, cx, dx, si, di, bp, and come in half of each register; socketcall's
 * arguments are an array that cx points to, read one by one as it may end where memory ends.
 */
static __always_inline void arguments__read_compat(__u64 *arguments, struct pt_regs *regs)
{
	arguments[0] = (__u32)BPF_CORE_READ(regs, bx);
	arguments[1] = (__u32)BPF_CORE_READ(regs, cx);
	arguments[2] = (__u32)BPF_CORE_READ(regs, dx);
	arguments[3] = (__u32)BPF_CORE_READ(regs, si);
	arguments[4] = (__u32)BPF_CORE_READ(regs, di);
	arguments[5] = (__u32)BPF_CORE_READ(regs, bp);
	if (call__number(regs) == COMPAT_SOCKETCALL) {
		const __u32 *array = (const void *)arguments[1];

#pragma unroll
		for (__u32 i = 0; i < CALL_ARGUMENTS; i++) {
			__u32 value = 0;

			bpf_probe_read_user(&value, sizeof(value), array + i);
			arguments[i] = value;
		}
	}
}
#endif

#endif /* TRIVET_SECURITY_ARGUMENTS_BPF_H */
