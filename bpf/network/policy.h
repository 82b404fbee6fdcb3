/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A compiled policy as the kernel reads it. Two generations have room, and the parity of one word,
 * the epoch, says which is in force: a reload writes the other one and then the word.
 *
 * A judgement takes a fixed number of look-ups, however many rules there are: the peer's address
 * has a class (all addresses of a class lie in the same sets), direction, protocol and port have
 * one, and a pair of classes has a list of terms, which differ in their subjects alone.
 */
#ifndef TRIVET_POLICY_H
#define TRIVET_POLICY_H

#include "network/flow.h"

#define POLICY_RULES_MAX    16384
#define POLICY_FAILSAFE_MAX 64
/* Each generation's room; a policy that needs more is refused whole. */
#define POLICY_SELECTOR_WORDS 4
#define POLICY_SELECTORS_MAX  (64 * POLICY_SELECTOR_WORDS)
#define POLICY_SUBJECTS_MAX   4096
#define POLICY_SUBJECT_ANY    0xffff
#define POLICY_PREFIXES_MAX   65536 /* of each family */
#define POLICY_PEERS_MAX      32768 /* classes of addresses; 0: those in no set */
#define POLICY_SERVICES_MAX   32768 /* classes of services */
#define POLICY_CELLS_MAX      131072
#define POLICY_TERMS_MAX      131072
/* Terms of one list. What may be met in one judgement is twice as much. */
#define POLICY_LIST_MAX 512
/* Ids of cgroups, executables, users that selectors stand for; replaced executables count while
 * they run. */
#define POLICY_IDENTITIES_MAX 4096

#define POLICY_SLOT(epoch) ((epoch)&1)

enum policy_verdict {
	POLICY_ALLOW,
	POLICY_DENY,
	POLICY_AUDIT,  /* as deny, but only reported */
	POLICY_REJECT, /* as deny; a process that connects is told that nobody listens */
	POLICY_PASS,   /* the tier's other rules are not asked */
};

/* An entry of the fail-safe list. */
struct policy_row {
	__u64 address[2]; /* 16 bytes in network order, IPv4 as ::ffff:a.b.c.d; bits outside the
			     mask are 0 */
	__u64 mask[2];
	__u16 port_low; /* the service's port: the peer's on egress, the local one on ingress */
	__u16 port_high;
	__u8 protocol;	/* IPPROTO_*; 0: any, then the ports are 0 to 65535 */
	__u8 direction; /* enum flow_direction */
	__u8 family;	/* 4, 6; 0: either */
	__u8 reserved;
};
TRIVET_STATIC_ASSERT(sizeof(struct policy_row) == 40, "policy_row changed size");

/* One rule's say in a list, which ends with a term of order POLICY_TERM_END. */
struct policy_term {
	__u32 order;   /* of the rule among all: by tier, then by what wins in it */
	__u32 rule;    /* index as written */
	__u16 subject; /* index in policy_subjects, or POLICY_SUBJECT_ANY */
	__u16 tier;    /* counts from 0 */
	__u8 verdict;  /* enum policy_verdict */
	__u8 quiet;    /* refusals are counted, but not told */
	__u16 reserved;
};
TRIVET_STATIC_ASSERT(sizeof(struct policy_term) == 16, "policy_term changed size");
#define POLICY_TERM_END 0xffffffffU

/* Which selectors speak of a process, one bit each; or which ones a subject asks for, all of them.
 */
struct policy_selectors {
	__u64 words[POLICY_SELECTOR_WORDS];
};

/* The selectors that an identity stands for, by slot. */
struct policy_identity {
	struct policy_selectors selectors[2];
};

struct policy_generation {
	__u32 selectors;	 /* how many there are; 0 spares looking for them */
	__u8 default_verdict[2]; /* enum policy_verdict by enum flow_direction */
	__u8 audit;		 /* drop nothing, only report */
	__u8 reserved;
};
TRIVET_STATIC_ASSERT(sizeof(struct policy_generation) == 8, "policy_generation changed size");

/* Keys of the tries: the slot, then the address in network order. */
struct policy_prefix4 {
	__u32 bits; /* of what follows */
	__u32 slot;
	__u32 address;
};
struct policy_prefix6 {
	__u32 bits;
	__u32 slot;
	__u64 address[2] __attribute__((packed, aligned(4)));
};
#define POLICY_SLOT_BITS 32

/* Classes of services in pages: by port, by ICMP type, or by protocol where there is neither. */
#define POLICY_PAGE_SERVICES 256
struct policy_page {
	__u16 services[POLICY_PAGE_SERVICES];
};
enum policy_page_kind {
	POLICY_PAGE_TCP = 0,
	POLICY_PAGE_UDP = 256,
	POLICY_PAGE_ICMP = 512,
	POLICY_PAGE_ICMPV6 = 513,
	POLICY_PAGE_PROTOCOL = 514, /* also of packets that have no ports to show */
	POLICY_PAGES,
};
#define POLICY_PAGE(slot, direction, page) (((slot)*2 + (direction)) * POLICY_PAGES + (page))

/* Where a peer class's terms for every service begin, by enum flow_direction. */
struct policy_peer {
	__u32 first_term[2];
};

/* A peer class and a service class that have a list of their own. */
struct policy_cell {
	__u32 peer;
	__u16 service;
	__u16 slot;
};

/* An executable file, as its inode and super block say. */
struct policy_executable {
	__u64 inode;
	__u32 device; /* the kernel's own encoding: major << 20 | minor */
	__u32 reserved;
};

/* What else tells a process: one number of each kind. */
enum policy_trait_kind {
	POLICY_TRAIT_USER, /* effective ids */
	POLICY_TRAIT_GROUP,
	POLICY_TRAIT_NETNS, /* inode number of its network namespace */
	POLICY_TRAIT_HOST,  /* 1: in the first pid namespace */
};
struct policy_trait {
	__u32 kind; /* enum policy_trait_kind */
	__u32 value;
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
