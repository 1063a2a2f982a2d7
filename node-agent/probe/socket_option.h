// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Options of sockets, as setsockopt and getsockopt have them.
#pragma once
#include "recipe.h"

enum { SOL_SOCKET = 1 };

// Numbers of options in events. The kernel's are the same, but for those that it added later.
enum socket_option {
	SO_UNKNOWN = 0,
	SO_ERROR = 4,
	SO_LINGER = 13,
	SO_PEERCRED = 17,
	SO_RCVTIMEO = 20,
	SO_SNDTIMEO = 21,
	SO_BINDTODEVICE = 25,
	SO_ATTACH_FILTER = 26,
	SO_PEERNAME = 28,
	SO_TIMESTAMP = 29,
	SO_PEERSEC = 31,
	SO_TIMESTAMPNS = 35,
	SO_TIMESTAMPING = 37,
	SO_INCOMING_CPU = 49,
	SO_ATTACH_BPF = 50,
	SO_PEERGROUPS = 51,
	SO_MEMINFO = 52,
	SO_COOKIE = 53,
};

// The kernel's numbers of those.
enum {
	KERNEL_MEMINFO = 55,
	KERNEL_COOKIE = 57,
	KERNEL_PEERGROUPS = 59,
	KERNEL_TIMESTAMP_NEW = 63,
	KERNEL_TIMESTAMPNS_NEW = 64,
	KERNEL_TIMESTAMPING_NEW = 65,
	KERNEL_RCVTIMEO_NEW = 66,
	KERNEL_SNDTIMEO_NEW = 67,
};

// The types of a value, by the event's set of them.
enum option_type { OPTION_BYTES, OPTION_ERRNO, OPTION_UINT32, OPTION_UINT64, OPTION_TIME };

#define OPTION(option) (1ull << (option))
// Up to SO_INCOMING_CPU all others are numbers of four bytes.
#define OPTIONS_OF_BYTES                                                                                      \
	(OPTION(SO_UNKNOWN) | OPTION(SO_LINGER) | OPTION(SO_PEERCRED) | OPTION(SO_BINDTODEVICE) |             \
	 OPTION(SO_ATTACH_FILTER) | OPTION(SO_PEERNAME) | OPTION(SO_PEERSEC))

static __always_inline u32 socket_option(struct scratch *s)
{
	u32 option = s->call.args[2];
	if ((u32)s->call.args[1] != SOL_SOCKET)
		return SO_UNKNOWN;
	switch (option) {
	case KERNEL_MEMINFO: return SO_MEMINFO;
	case KERNEL_COOKIE: return SO_COOKIE;
	case KERNEL_PEERGROUPS: return SO_PEERGROUPS;
	case KERNEL_TIMESTAMP_NEW: return SO_TIMESTAMP;
	case KERNEL_TIMESTAMPNS_NEW: return SO_TIMESTAMPNS;
	case KERNEL_TIMESTAMPING_NEW: return SO_TIMESTAMPING;
	case KERNEL_RCVTIMEO_NEW: return SO_RCVTIMEO;
	case KERNEL_SNDTIMEO_NEW: return SO_SNDTIMEO;
	default: return option <= SO_ATTACH_BPF ? option : SO_UNKNOWN;
	}
}

static __always_inline enum option_type option_type(u32 option)
{
	switch (option) {
	case SO_ERROR: return OPTION_ERRNO;
	case SO_RCVTIMEO:
	case SO_SNDTIMEO: return OPTION_TIME;
	case SO_COOKIE: return OPTION_UINT64;
	}
	bool number = option <= SO_INCOMING_CPU && !(OPTIONS_OF_BYTES >> option & 1);
	return number ? OPTION_UINT32 : OPTION_BYTES;
}

// Seconds and microseconds as nanoseconds; the newer options have them in 64 bits for all callers.
static __always_inline u64 option_time(struct scratch *s, u64 from)
{
	bool wide = (u32)s->call.args[2] >= KERNEL_RCVTIMEO_NEW;
	u64 seconds = wide ? from_memory((void *)from, 8) : from_struct(s, from, 0);
	u64 rest = wide ? from_memory((void *)from + 8, 8) : from_struct(s, from, 8);
	return seconds * 1000000000 + rest * 1000;
}

// The value of the option: its type, and what is stored of that type.
__noinline int put_socket_option(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	u64 value = s->call.args[3];
	u32 from = s->at;
	enum option_type type = option_type(socket_option(s));
	if (!value) {
		put_empty(s);
		return 0;
	}
	put_u8(s, type);
	s->index--;
	switch (type) {
	case OPTION_ERRNO: put_s64(s, -(s64)(s32)from_memory((void *)value, 4)); break;
	case OPTION_TIME: put_u64(s, option_time(s, value)); break;
	case OPTION_UINT64: put_u64(s, from_memory((void *)value, 8)); break;
	case OPTION_UINT32: put_u32(s, from_memory((void *)value, 4)); break;
	default: put_data(s, (void *)value, (s32)w->value);
	}
	join_from(s, from);
	return 0;
}
