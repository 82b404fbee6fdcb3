/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which call of the plugin's table a task is in, by its number. */
#ifndef TRIVET_SECURITY_NUMBERS_BPF_H
#define TRIVET_SECURITY_NUMBERS_BPF_H

#include "security/arguments.bpf.h"
#include "security/call_table.h"

const volatile struct syscalls_config config = {};
const volatile struct call_table calls = {
	.shapes = CALL_TABLE_SHAPES,
	.native = CALL_TABLE_NATIVE,
	.compat = CALL_TABLE_COMPAT,
	.socketcall = CALL_TABLE_SOCKETCALL,
};

/* The place of a 64-bit call in the table, and 1; 0 for those that it has not. */
static __always_inline __u32 native__call(struct pt_regs *regs)
{
	__u64 number = call__number(regs);

	return number < CALL_NUMBERS ? calls.native[number] : 0;
}

/* The same of 32-bit calls. */
static __always_inline __u32 compat__call(struct pt_regs *regs)
{
	__u64 number = call__number(regs);

#ifdef __TARGET_ARCH_x86
	if (number == COMPAT_SOCKETCALL) {
		number = (__u32)BPF_CORE_READ(regs, bx);
		return number < sizeof(calls.socketcall) ? calls.socketcall[number] : 0;
	}
#endif
	return number < CALL_NUMBERS ? calls.compat[number] : 0;
}

#endif /* TRIVET_SECURITY_NUMBERS_BPF_H */
