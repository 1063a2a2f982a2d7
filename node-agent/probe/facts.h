// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// What a descriptor stands for, from the kernel's own table at the time of the event: nobody has to follow every
// open, dup and close to know it.
#pragma once
#include "socket.h"

// Which end of its connection a socket is, and what else is known of the descriptor.
enum role { ROLE_NONE, ROLE_CLIENT, ROLE_SERVER, ROLE_LISTENS, FACT_ALONE = 0x40, FACT_CONNECTED = 0x80 };

// Decoded by fd_facts.rs. Behind it follows, for sockets, both ends as in a tuple parameter, client first, and for all
// else the path with its NUL.
struct facts {
	u16 mode; // of the inode: its upper bits tell what it is
	u8 protocol;
	u8 role;    // and FACT_ bits; alone: it is in no directory, its name is the kernel's
	u32 device; // of a socket the address family
	u64 inode;
} __attribute__((packed));

enum { LOWEST_PRIVATE_PORT = 32768, TCP_ESTABLISHED = 1, SOCK_BINDPORT_LOCK = 8 };

// Whether the process chose the port, not the machine.
static __always_inline bool is_bound(struct sock *sk)
{
	return BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks) & SOCK_BINDPORT_LOCK;
}

// The kernel does not note who called whom. But a connection that was accepted has the length of its listener's queue,
// and one that was made has none. Where that says nothing, the port that the machine chose itself is the caller's.
static __always_inline enum role inet_role(struct sock *sk)
{
	u16 own = READ(sk, __sk_common.skc_num);
	u16 other = __builtin_bswap16(READ(sk, __sk_common.skc_dport));
	if (READ(sk, __sk_common.skc_state) == TCP_LISTEN)
		return ROLE_LISTENS;
	if (!other)
		return is_bound(sk) ? ROLE_LISTENS : ROLE_NONE;
	if (READ(sk, sk_max_ack_backlog))
		return ROLE_SERVER;
	return own < LOWEST_PRIVATE_PORT && other >= LOWEST_PRIVATE_PORT ? ROLE_SERVER : ROLE_CLIENT;
}

// Who calls by a name of the file system has none of its own.
static __always_inline enum role socket_role(struct sock *sk)
{
	u16 family = READ(sk, __sk_common.skc_family);
	if (family == AF_UNIX)
		return unix_name(sk) ? ROLE_SERVER : ROLE_NONE;
	return family == AF_INET || family == AF_INET6 ? inet_role(sk) : ROLE_NONE;
}

static __always_inline bool file_is_alone(struct file *file)
{
	struct dentry *dentry = READ(file, f_path.dentry);
	u8 first = 0;
	bpf_probe_read_kernel(&first, 1, READ(dentry, d_name.name));
	return READ(dentry, d_parent) == dentry && first != '/';
}

// Makes one parameter of the last one and what stands before it since `from`.
static __always_inline void join_from(struct scratch *s, u32 from)
{
	u32 len = s->at - from;
	s->index--;
	s->at = from;
	put_length(s, len);
}

static __always_inline void put_socket_facts(struct scratch *s, struct facts *f, struct file *file)
{
	struct socket *socket = READ(file, private_data);
	struct sock *sk = READ(socket, sk);
	struct address nobody = {};
	u32 from = s->at;
	enum role role = socket_role(sk);
	bool connected = READ(sk, __sk_common.skc_state) == TCP_ESTABLISHED;
	f->role = role | (connected ? FACT_CONNECTED : 0);
	f->device = READ(sk, __sk_common.skc_family);
	f->protocol = READ(sk, sk_protocol);
	put_bytes(s, f, sizeof(*f));
	s->index--;
	put_flow(s, sk, &nobody, role == ROLE_SERVER);
	join_from(s, from);
}

static __always_inline void put_path_facts(struct scratch *s, struct facts *f, struct task_struct *task,
					   struct file *file)
{
	struct text *t = text_of(s->program);
	u32 from = s->at;
	if (!t)
		return put_empty(s);
	put_bytes(s, f, sizeof(*f));
	s->index--;
	put_file_path(s, t, task, file);
	join_from(s, from);
}

// Numbers only, so that the verifier checks it once.
__noinline int put_facts(u32 program, u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct file *file = file_of(task, fd);
	if (!s)
		return 0;
	if (!file) {
		put_empty(s);
		return 0;
	}
	struct facts f = {
		.mode = READ(file, f_inode, i_mode),
		.role = file_is_alone(file) ? FACT_ALONE : 0,
		.device = file_device(file),
		.inode = READ(file, f_inode, i_ino),
	};
	if ((f.mode & S_IFMT) == S_IFSOCK)
		put_socket_facts(s, &f, file);
	else
		put_path_facts(s, &f, task, file);
	return 0;
}
