/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What policy and flows need to know of a packet, from its headers; nothing in it is believed
 * unread. */
#ifndef TRIVET_PACKET_BPF_H
#define TRIVET_PACKET_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP   0x0800
#define ETH_P_IPV6 0x86DD

/* RFC 8200 and its kin give six kinds; a chain that is longer than this hides something. */
#define IPV6_EXTENSIONS_MAX 8

/* Macros in the kernel's headers, so not in BTF. */
#ifndef IPPROTO_HOPOPTS
#define IPPROTO_HOPOPTS	 0
#define IPPROTO_ROUTING	 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_ICMPV6	 58
#define IPPROTO_DSTOPTS	 60
#endif

#define TCP_FLAG_SYN 0x02

struct packet {
	__u64 local_address[2]; /* network order, IPv4 as ::ffff:a.b.c.d */
	__u64 peer_address[2];
	__u16 local_port; /* host order */
	__u16 peer_port;
	__u16 payload_bytes; /* behind the TCP header */
	__u8 protocol;	     /* IPPROTO_*; 255: hidden behind too many extension headers */
	__u8 type;	     /* ICMP type, or TCP flags */
	__u8 no_ports;	     /* a later fragment, or cut off: the ports are not in it */
};

#define PROTOCOL_HIDDEN 255

static __always_inline void address__from_v4(__u64 address[2], __be32 v4)
{
	address[0] = 0;
	address[1] = bpf_cpu_to_be64(0x0000ffff00000000ULL | bpf_ntohl(v4));
}

static __always_inline void address__from_v6(__u64 address[2], const __be32 v6[4])
{
	address[0] = (__u64)v6[1] << 32 | v6[0];
	address[1] = (__u64)v6[3] << 32 | v6[2];
}

/*
 * Follows IPv6's extension headers to the transport header; returns its offset. Sets protocol and,
 * for all but the first fragment, no_ports.
 */
static __always_inline __u32 packet__skip_extensions(struct __sk_buff *skb, struct packet *packet,
						     __u8 next)
{
	__u32 offset = sizeof(struct ipv6hdr);

	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		struct {
			__u8 next;
			__u8 length;
			__be16 fragment;
		} header;

		packet->protocol = next;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT && next != IPPROTO_AH)
			return offset;
		if (bpf_skb_load_bytes(skb, offset, &header, sizeof(header))) {
			packet->no_ports = 1;
			return offset;
		}
		if (next == IPPROTO_FRAGMENT) {
			offset += 8;
			if (bpf_ntohs(header.fragment) & 0xfff8) {
				packet->protocol = header.next;
				packet->no_ports = 1;
				return offset;
			}
		} else if (next == IPPROTO_AH) {
			offset += (header.length + 2) * 4;
		} else {
			offset += (header.length + 1) * 8;
		}
		next = header.next;
	}
	packet->protocol = PROTOCOL_HIDDEN;
	packet->no_ports = 1;
	return offset;
}

/* Reads the packet's headers; `sent` says which end is local. False where it is not whole IP. */
__noinline bool packet__read(struct __sk_buff *skb, struct packet *packet, bool sent)
{
	__u64 source[2], destination[2];
	__u32 offset;
	struct {
		__be16 source;
		__be16 destination;
	} ports;

	if (!packet)
		return false;
	__builtin_memset(packet, 0, sizeof(*packet));
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return false;
		address__from_v4(source, ip.saddr);
		address__from_v4(destination, ip.daddr);
		packet->protocol = ip.protocol;
		packet->no_ports = !!(bpf_ntohs(ip.frag_off) & 0x1fff);
		offset = ip.ihl * 4;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return false;
		address__from_v6(source, ip.saddr.in6_u.u6_addr32);
		address__from_v6(destination, ip.daddr.in6_u.u6_addr32);
		offset = packet__skip_extensions(skb, packet, ip.nexthdr);
	} else {
		return false;
	}
	packet->local_address[0] = sent ? source[0] : destination[0];
	packet->local_address[1] = sent ? source[1] : destination[1];
	packet->peer_address[0] = sent ? destination[0] : source[0];
	packet->peer_address[1] = sent ? destination[1] : source[1];

	if (packet->no_ports)
		return true;
	if (packet->protocol == IPPROTO_TCP || packet->protocol == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, offset, &ports, sizeof(ports))) {
			packet->no_ports = 1;
			return true;
		}
		packet->local_port = bpf_ntohs(sent ? ports.source : ports.destination);
		packet->peer_port = bpf_ntohs(sent ? ports.destination : ports.source);
	}
	if (packet->protocol == IPPROTO_TCP) {
		__u8 offset_and_flags[2];
		__u32 header_bytes;

		if (bpf_skb_load_bytes(skb, offset + 12, offset_and_flags, 2))
			return true;
		packet->type = offset_and_flags[1];
		header_bytes = offset + (offset_and_flags[0] >> 4) * 4;
		if (skb->len > header_bytes)
			packet->payload_bytes = skb->len - header_bytes;
	} else if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6) {
		if (bpf_skb_load_bytes(skb, offset, &packet->type, 1))
			packet->no_ports = 1;
	}
	return true;
}

/*
 * Messages without which IP itself fails, and answers to what the kernel was asked: errors (path
 * MTU), neighbour discovery, multicast membership, echo replies.
 */
static __always_inline bool packet__is_ip_housekeeping(const struct packet *packet)
{
	if (packet->no_ports)
		return false;
	if (packet->protocol == IPPROTO_ICMP)
		return packet->type == 0 || packet->type == 3 || packet->type == 11 ||
		       packet->type == 12;
	if (packet->protocol == IPPROTO_ICMPV6)
		return packet->type < 128 || (packet->type >= 129 && packet->type <= 137) ||
		       packet->type == 143;
	return false;
}

#endif /* TRIVET_PACKET_BPF_H */
