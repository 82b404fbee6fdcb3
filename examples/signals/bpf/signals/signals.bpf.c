// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Tells signals as they are sent. On the kernel's own tracepoint: no system call gets slower. */
#include "lanes.bpf.h"
#include "signals/signals.h"

#define SIGCHLD	      17
#define SEND_SIG_PRIV ((void *)1) /* sched/signal.h: sent by the kernel */

const volatile struct signals_config config;

SEC("tp_btf/signal_generate")
int BPF_PROG(signal_generate, int number, void *info, struct task_struct *target)
{
	struct signal_event *event;

	if (number == SIGCHLD && !config.sigchld)
		return 0;
	event = event_reserve(LANE_CANDIDATE, signal_event);
	if (!event)
		return 0; /* counted there */
	if (info != SEND_SIG_PRIV)
		header__set_current(&event->header);
	event->number = number;
	event->target_pid = BPF_CORE_READ(target, tgid);
	BPF_CORE_READ_STR_INTO(&event->target, target, comm);
	event_submit(LANE_CANDIDATE, event);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
