/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What signals.bpf.c and the plugin share. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "event.h"

/* header.task is the sender; nobody where the kernel itself sends. */
struct signal_event {
	struct event_header header;
	__u32 number;
	__u32 target_pid;
	char target[16]; /* its name (comm) */
};
TRIVET_EVENT(signal_event, 240, 96, 1);

struct signals_config {
	__u8 sigchld; /* whether to tell those too */
};

#endif /* SIGNALS_H */
