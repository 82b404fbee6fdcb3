// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sends events on request: see flood.h. From the entry of a system call that nothing else makes. */
#include "lanes.bpf.h"
#include "flood.h"

#ifdef __TARGET_ARCH_x86
#define NR_GETPGID 121
#else
#define NR_GETPGID 155
#endif

#define flood__send(lane, index_)                                                                  \
	({                                                                                         \
		struct flood_event *flood__ = event_reserve(lane, flood_event);                    \
		if (flood__) {                                                                     \
			header__set_current(&flood__->header);                                     \
			flood__->index = (index_);                                                 \
			flood__->payload[0] = flood__->payload[1] = flood__->payload[2] = 0;       \
			event_submit(lane, flood__);                                               \
		}                                                                                  \
	})

#define flood__arm(lane, index)                                                                    \
	if ((index) % FLOOD_FILTERED == 0) {                                                       \
		lane__count(lane, flood_event_id, offered);                                        \
		lane__count(lane, flood_event_id, filtered);                                       \
	} else {                                                                                   \
		flood__send(lane, index);                                                          \
	}

static long flood__step(__u32 index, __u64 *lane)
{
	switch (*lane) {
	case LANE_LIFECYCLE:
		flood__arm(LANE_LIFECYCLE, index);
		break;
	case LANE_ALERT:
		/* Alerts one by one: a test that asks for one gets it. */
		flood__send(LANE_ALERT, index);
		break;
	case LANE_CANDIDATE:
		flood__arm(LANE_CANDIDATE, index);
		break;
	default:
		flood__arm(LANE_BULK, index);
		break;
	}
	return 0;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(flood, struct pt_regs *regs, long id)
{
	__u64 order, lane, count;

	if (id != NR_GETPGID)
		return 0;
	order = PT_REGS_PARM1_CORE_SYSCALL(regs);
	if (order >> 48 != FLOOD_MAGIC)
		return 0;
	lane = (order >> 40) & 0xff;
	count = order & 0xffffffff;
	/* The compiler would pass all 64 bits, as the helper takes 32; inlined, it compares 64. */
	barrier_var(count);
	bpf_loop(count, flood__step, &lane, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
