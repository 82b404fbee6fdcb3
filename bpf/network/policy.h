/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A compiled policy as the kernel reads it. Two generations have room, and the parity of one word,
 * the epoch, says which is in force: a reload writes the other one and then the word.
 */
#ifndef TRIVET_POLICY_H
#define TRIVET_POLICY_H

#include "network/flow.h"

/* One row for each pair of a rule's peers and ports: 1,000 rules with four each. */
#define POLICY_ROWS_MAX	    4096
#define POLICY_RULES_MAX    1024
#define POLICY_FAILSAFE_MAX 64
#define POLICY_SUBJECTS_MAX 64 /* bits of a word */
#define POLICY_SUBJECT_ANY  0xff
/* Ids of cgroups and executables that stand for subjects; replaced executables count while they
 * run. */
#define POLICY_IDENTITIES_MAX 4096

#define POLICY_SLOT(epoch) ((epoch)&1)

enum policy_verdict {
	POLICY_ALLOW,
	POLICY_DENY,
	POLICY_AUDIT, /* as deny, but only reported */
};

/* Rows of a generation lie in this order: deny, audit, allow. */
struct policy_row {
	__u64 address[2]; /* 16 bytes in network order, IPv4 as ::ffff:a.b.c.d; bits outside the
			     mask are 0 */
	__u64 mask[2];
	__u32 rule;	/* index of the rule that it came from */
	__u16 port_low; /* the service's port: the peer's on egress, the local one on ingress */
	__u16 port_high;
	__u8 protocol;	/* IPPROTO_*; 0: any, then the ports are 0 to 65535 */
	__u8 direction; /* enum flow_direction */
	__u8 verdict;	/* enum policy_verdict */
	__u8 subject;	/* bit number, or POLICY_SUBJECT_ANY */
	__u8 family;	/* 4, 6; 0: either, for a rule without addresses */
	__u8 reserved[3];
};
TRIVET_STATIC_ASSERT(sizeof(struct policy_row) == 48, "policy_row changed size");

struct policy_generation {
	__u32 rows;
	__u32 subjects;		 /* how many there are; 0 spares looking for them */
	__u8 default_verdict[2]; /* enum policy_verdict by enum flow_direction */
	__u8 audit;		 /* drop nothing, only report */
	__u8 reserved[5];
};
TRIVET_STATIC_ASSERT(sizeof(struct policy_generation) == 16, "policy_generation changed size");

/* An executable file, as its inode and super block say. */
struct policy_executable {
	__u64 inode;
	__u32 device; /* the kernel's own encoding: major << 20 | minor */
	__u32 reserved;
};

/* The subjects that a cgroup or an executable stands for, one bit each, by slot. */
struct policy_subjects {
	__u64 bits[2];
};

/* What rules did: index POLICY_COUNT(slot, rule), or one of the POLICY_COUNT_* behind them. */
struct policy_count {
	/* Decisions, not packets: for each connection, UDP peer or refused packet, and again where
	 * policy, subjects or the process behind the socket changed. */
	__u64 judged;
	__u64 dropped; /* those of them that refused */
};
#define POLICY_COUNT(slot, rule)   ((slot)*POLICY_RULES_MAX + (rule))
#define POLICY_COUNT_DEFAULT(slot) (2 * POLICY_RULES_MAX + (slot))
#define POLICY_COUNT_FAILSAFE	   (2 * POLICY_RULES_MAX + 2)
#define POLICY_COUNTS		   (2 * POLICY_RULES_MAX + 3)

/* What a reload changes without touching the state of sockets. */
struct policy_settings {
	__u64 interval_ns;	  /* between two reports of a flow with traffic */
	__u64 udp_idle_ns;	  /* a UDP flow without packets for so long has ended */
	__u32 denials_per_second; /* reports of each rule; further ones are only counted */
	__u32 reserved;
};

/* Part of the loaded programs, so that nothing can change it while they are loaded. */
struct policy_config {
	__u32 failsafe_rows;
	__u32 reserved;
	struct policy_row failsafe[POLICY_FAILSAFE_MAX];
};

#endif /* TRIVET_POLICY_H */
