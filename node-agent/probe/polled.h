// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The descriptors that poll waits for.
#pragma once
#include "recipe.h"

// The kernel's struct pollfd.
struct polled {
	s32 fd;
	u16 wanted, happened;
};

enum { POLLED_MAX = 16, KERNEL_POLLRDHUP = 0x2000, EVENT_POLLRDHUP = 8 };

// Events have the bits in another order: what follows the first three stands one place higher.
static __always_inline u16 poll_flags(u16 kernel)
{
	return (kernel & 7) | (kernel & 0x3f8) << 1 | (kernel & KERNEL_POLLRDHUP ? EVENT_POLLRDHUP : 0);
}

static __always_inline bool read_polled(struct scratch *s, struct polled *polled, u64 list, u32 i)
{
	return i < (u32)s->call.args[1] && !bpf_probe_read_user(polled, sizeof(*polled), (void *)(list + i * sizeof(*polled)));
}

// How many there are, then each with what happened to it.
__noinline int put_polled(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	u64 from = record_at(s), at = from + sizeof(u16);
	if (from > RECORD_LIMIT) {
		put_empty(s);
		return 0;
	}
	struct polled polled = {};
	u16 count = 0;
	for (u32 i = 0; i < POLLED_MAX && read_polled(s, &polled, w->value, i); i++) {
		APPEND(s, at, u64, (s64)polled.fd);
		APPEND(s, at, u16, poll_flags(polled.happened));
		count++;
	}
	*(u16 *)(s->bytes + from) = count;
	if ((u32)s->call.args[1] > POLLED_MAX)
		s->truncated = 1;
	put_length(s, at - from);
	return 0;
}

// The facts of one of them behind their length. The index of the parameter stays.
static __always_inline void append_facts(struct scratch *s, s32 fd)
{
	u32 index = s->index;
	put_u16(s, 0);
	s->index = index;
	u64 from = s->at;
	put_facts(s->program, fd);
	s->index = index;
	OPAQUE(from);
	if (from <= RECORD_LIMIT)
		*(u16 *)(s->bytes + from - sizeof(u16)) = s->at - from;
}

// What each of them stands for, in the same order.
__noinline int put_polled_facts(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	struct polled polled = {};
	u32 from = s->at;
	for (u32 i = 0; i < POLLED_MAX && read_polled(s, &polled, w->value, i); i++)
		append_facts(s, polled.fd);
	u32 len = s->at - from;
	s->at = from;
	put_length(s, len);
	return 0;
}
