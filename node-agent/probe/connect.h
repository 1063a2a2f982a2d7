// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// connect at its exit.
#pragma once
#include "file.h"
#include "registers.h"
#include "ring.h"

enum { EVENT_CONNECT = 23, CONNECT_PARAMS = 5, EINPROGRESS = 115 };
enum { AF_UNIX = 1, AF_INET = 2, AF_INET6 = 10, UNIX_PATH = 108 };

// A socket address in user memory; the largest known family is unix.
struct address {
	u16 family;
	union {
		struct {
			__be16 port;
			u8 ip4[4];
		};
		struct {
			__be16 port6;
			u32 flow;
			u8 ip6[16];
		} __attribute__((packed));
		u8 path[UNIX_PATH + 1]; // and a NUL
	};
} __attribute__((packed));

// Writes a value behind what the parameter already has and moves `at`.
#define APPEND(s, at, type, value)                    \
	do {                                          \
		*(type *)((s)->bytes + (at)) = value; \
		at += sizeof(type);                   \
	} while (0)

static __always_inline struct sock *file_socket(struct file *file)
{
	if ((READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	struct socket *socket = READ(file, private_data);
	return READ(socket, sk);
}

static __always_inline struct sock *socket_of(struct task_struct *task, u32 fd)
{
	return file_socket(file_of(task, fd));
}

// The socket that the call is about.
static __always_inline struct sock *call_socket(struct scratch *s, struct task_struct *task, u32 fd)
{
	struct file *file = (void *)s->call.file;
	return file ? file_socket(file) : socket_of(task, fd);
}

static __always_inline u64 append_ip4_tuple(struct scratch *s, u64 at, struct sock *sk)
{
	APPEND(s, at, u8, AF_INET);
	APPEND(s, at, u32, READ(sk, __sk_common.skc_rcv_saddr));
	APPEND(s, at, u16, READ(sk, __sk_common.skc_num));
	APPEND(s, at, u32, READ(sk, __sk_common.skc_daddr));
	APPEND(s, at, u16, __builtin_bswap16(READ(sk, __sk_common.skc_dport)));
	return at;
}

static __always_inline u64 append_ip6_tuple(struct scratch *s, u64 at, struct sock *sk)
{
	APPEND(s, at, u8, AF_INET6);
	bpf_core_read(s->bytes + at, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	at += 16;
	APPEND(s, at, u16, READ(sk, __sk_common.skc_num));
	bpf_core_read(s->bytes + at, 16, &sk->__sk_common.skc_v6_daddr);
	at += 16;
	APPEND(s, at, u16, __builtin_bswap16(READ(sk, __sk_common.skc_dport)));
	return at;
}

// A unix path of at most `len` bytes as it is in events: without the NUL that abstract names begin with, with one at the
// end, which these do not have in the kernel.
static __always_inline u64 append_unix_path(struct scratch *s, u64 at, const char *path, u64 len)
{
	u8 first = 0;
	bpf_probe_read_kernel(&first, 1, path);
	OPAQUE(path); // else a sum becomes an `or`, which the verifier forbids on pointers
	if (first)
		len++;
	else
		path++;
	OPAQUE(len);
	if (len < 1 || len > UNIX_PATH + 1)
		len = UNIX_PATH + 1;
	long copied = bpf_probe_read_kernel_str(s->bytes + at, len, path);
	if (copied > 0)
		return at + copied;
	APPEND(s, at, u8, 0);
	return at;
}

// The name that a socket is bound to.
static __always_inline u64 append_unix_name(struct scratch *s, u64 at, struct unix_address *name)
{
	const char *path = (void *)name + bpf_core_field_offset(struct unix_address, name) + sizeof(u16);
	return append_unix_path(s, at, path, (u32)READ(name, len) - sizeof(u16));
}

static __always_inline u64 append_unix_tuple(struct scratch *s, u64 at, struct sock *sk)
{
	struct sock *peer = READ((struct unix_sock *)sk, peer);
	struct unix_address *address = READ((struct unix_sock *)peer, addr);
	APPEND(s, at, u8, AF_UNIX);
	APPEND(s, at, u64, (u64)sk);
	APPEND(s, at, u64, (u64)peer);
	if (address)
		return append_unix_name(s, at, address);
	APPEND(s, at, u8, 0);
	return at;
}

// Both ends of the connection as the kernel has them.
static __always_inline void put_tuple(struct scratch *s, struct sock *sk)
{
	u64 at = record_at(s), from = at;
	if (at > RECORD_LIMIT)
		return put_empty(s);
	switch (READ(sk, __sk_common.skc_family)) {
	case AF_INET: at = append_ip4_tuple(s, at, sk); break;
	case AF_INET6: at = append_ip6_tuple(s, at, sk); break;
	case AF_UNIX: at = append_unix_tuple(s, at, sk); break;
	}
	put_length(s, at - from);
}

static __always_inline u64 append_address(struct scratch *s, u64 at, struct address *a, u64 len)
{
	if (a->family == AF_INET && len >= 8) {
		APPEND(s, at, u8, AF_INET);
		bpf_probe_read_kernel(s->bytes + at, 4, a->ip4);
		at += 4;
		APPEND(s, at, u16, __builtin_bswap16(a->port));
	} else if (a->family == AF_INET6 && len >= 24) {
		APPEND(s, at, u8, AF_INET6);
		bpf_probe_read_kernel(s->bytes + at, 16, a->ip6);
		at += 16;
		APPEND(s, at, u16, __builtin_bswap16(a->port6));
	} else if (a->family == AF_UNIX && len > 2) {
		APPEND(s, at, u8, AF_UNIX);
		at = append_unix_path(s, at, (char *)a->path, UNIX_PATH);
	}
	return at;
}

// The address as the caller gave it.
static __always_inline void put_address(struct scratch *s, const void *given, u64 len)
{
	struct address a = {};
	u64 at = record_at(s), from = at;
	if (at > RECORD_LIMIT)
		return put_empty(s);
	OPAQUE(len);
	if (len > sizeof(a) - 1)
		len = sizeof(a) - 1;
	if (read_given(s, &a, len, given))
		return put_empty(s);
	at = append_address(s, at, &a, len);
	put_length(s, at - from);
}

// As a request of io_uring, at its end: only what that tells.
static __always_inline void put_connect_arguments(struct scratch *s)
{
	struct call_context *c = &s->call;
	if (s->half == RECORD_LAST_HALF) {
		put_empty(s);
		return put_empty(s);
	}
	put_s64(s, (s32)c->args[0]);
	put_address(s, (void *)c->args[1], (u32)c->args[2]);
}

// res, tuple, fd, addr, proto.
static __always_inline void connect_exit(struct scratch *s, struct task_struct *task, s64 result)
{
	struct sock *sk = call_socket(s, task, s->call.args[0]);
	bool begun = s->half != RECORD_FIRST_HALF && (result == 0 || result == -EINPROGRESS);
	record_begin(s, EVENT_CONNECT, CONNECT_PARAMS, task);
	put_s64(s, result);
	if (begun)
		put_tuple(s, sk);
	else
		put_empty(s);
	put_connect_arguments(s);
	put_u32(s, READ(sk, sk_protocol));
	send_bulk(s, CLASS_CONNECT);
}
