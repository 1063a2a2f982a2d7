// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Both ends of a socket, as the process at one of them sees them.
#pragma once
#include "connect.h"

enum { TCP_LISTEN = 10 };

// Who sends to whom. Not connected sockets have one end: the other is the address that the call gave or got.
static __always_inline u64 append_ip4_flow(struct scratch *s, u64 at, struct sock *sk, struct address *peer, bool in)
{
	u32 own = READ(sk, __sk_common.skc_rcv_saddr), other = READ(sk, __sk_common.skc_daddr);
	u16 own_port = READ(sk, __sk_common.skc_num);
	u16 other_port = __builtin_bswap16(READ(sk, __sk_common.skc_dport));
	if (peer->family == AF_INET) {
		bpf_probe_read_kernel(&other, sizeof(other), peer->ip4);
		other_port = __builtin_bswap16(peer->port);
	}
	APPEND(s, at, u8, AF_INET);
	APPEND(s, at, u32, in ? other : own);
	APPEND(s, at, u16, in ? other_port : own_port);
	APPEND(s, at, u32, in ? own : other);
	APPEND(s, at, u16, in ? own_port : other_port);
	return at;
}

static __always_inline u64 append_ip6_end(struct scratch *s, u64 at, const void *address, u16 port)
{
	bpf_probe_read_kernel(s->bytes + at, 16, address);
	at += 16;
	APPEND(s, at, u16, port);
	return at;
}

static __always_inline u64 append_ip6_flow(struct scratch *s, u64 at, struct sock *sk, struct address *peer, bool in)
{
	const void *own = (void *)sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr);
	const void *other = (void *)sk + bpf_core_field_offset(struct sock, __sk_common.skc_v6_daddr);
	u16 own_port = READ(sk, __sk_common.skc_num);
	u16 other_port = __builtin_bswap16(READ(sk, __sk_common.skc_dport));
	if (peer->family == AF_INET6) {
		other = peer->ip6;
		other_port = __builtin_bswap16(peer->port6);
	}
	APPEND(s, at, u8, AF_INET6);
	if (in) {
		at = append_ip6_end(s, at, other, other_port);
		return append_ip6_end(s, at, own, own_port);
	}
	at = append_ip6_end(s, at, own, own_port);
	return append_ip6_end(s, at, other, other_port);
}

static __always_inline struct unix_address *unix_name(struct sock *sk)
{
	return sk ? READ((struct unix_sock *)sk, addr) : 0;
}

static __always_inline struct sock *unix_peer(struct sock *sk)
{
	return sk && READ(sk, __sk_common.skc_family) == AF_UNIX ? READ((struct unix_sock *)sk, peer) : 0;
}

// The name is that of the end which was bound.
static __always_inline u64 append_unix_flow(struct scratch *s, u64 at, struct sock *sk, struct address *to, bool in)
{
	struct sock *peer = READ((struct unix_sock *)sk, peer);
	struct unix_address *name = unix_name(in ? sk : peer);
	APPEND(s, at, u8, AF_UNIX);
	APPEND(s, at, u64, (u64)(in ? peer : sk));
	APPEND(s, at, u64, (u64)(in ? sk : peer));
	if (to->family == AF_UNIX)
		return append_unix_path(s, at, (char *)to->path, UNIX_PATH);
	if (name)
		return append_unix_name(s, at, name);
	APPEND(s, at, u8, 0);
	return at;
}

static __always_inline u64 append_flow(struct scratch *s, u64 at, struct sock *sk, struct address *peer, bool in)
{
	switch (READ(sk, __sk_common.skc_family)) {
	case AF_INET: return append_ip4_flow(s, at, sk, peer, in);
	case AF_INET6: return append_ip6_flow(s, at, sk, peer, in);
	case AF_UNIX: return append_unix_flow(s, at, sk, peer, in);
	default: return at;
	}
}

// A parameter with both ends; `peer` is the address that the call gave or got, if its family is not 0.
static __always_inline void put_flow(struct scratch *s, struct sock *sk, struct address *peer, bool in)
{
	u64 at = record_at(s), from = at;
	if (!sk || at > RECORD_LIMIT)
		return put_empty(s);
	at = append_flow(s, at, sk, peer, in);
	put_length(s, at - from);
}

enum { OTHER_FAMILIES = 63 };

// Whether no rule is about sockets of the family that the call asks for.
static __always_inline bool socket_rejected(struct scratch *s)
{
	u32 zero = 0, family = s->call.args[0];
	struct wanted *w = bpf_map_lookup_elem(&syscalls, &zero);
	if (!w || w->families >> (family < OTHER_FAMILIES ? family : OTHER_FAMILIES) & 1)
		return 0;
	count_filtered(CLASS_CALL);
	s->rejected = !!w->marks;
	return !w->marks;
}
