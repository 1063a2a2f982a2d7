// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Sends finished records to user space and counts what was sent and lost.
//
// A lane is one ring shared by all CPUs: a record is in the ring before anything that it causes elsewhere, so
// a child's exec never comes before its fork.
#pragma once
#include "record.h"

// Wakes the consumer only if it sleeps: while it is busy it looks at the rings itself.
static __always_inline u64 wake_flags(void)
{
	u32 zero = 0, *sleeps = bpf_map_lookup_elem(&sleeper, &zero);
	if (!sleeps || !*sleeps)
		return BPF_RB_NO_WAKEUP;
	*sleeps = 0;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline struct counters *counters(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&counts, &zero);
}

static __always_inline void count_filtered(u32 class)
{
	struct counters *c = counters();
	if (c)
		c->filtered[class]++;
}

static __always_inline void ring_send(struct scratch *s, void *ring, u8 lane, u32 class)
{
	struct counters *c = counters();
	if (!c)
		return;
	u64 size = record_end(s);
	record_prefix(s)->lane = lane;
	record_prefix(s)->seq = ++c->seq[lane];
	if (s->truncated)
		c->truncated[class]++;
	if (bpf_ringbuf_output(ring, s->bytes, size, wake_flags()))
		c->ring_full[class]++;
	else
		c->events[class]++;
}

// The hooks that tell what the agent does to test them.
enum hook { HOOK_FORK, HOOK_EXIT, HOOK_SYS_EXIT };

// Tells that the hook and the ring work. Neither numbered nor counted: that it does not come is what it says.
static __always_inline void send_marker(struct scratch *s, void *ring, u8 lane, u16 hook, struct task_struct *task)
{
	record_begin(s, hook, 0, task);
	record_prefix(s)->lane = lane;
	record_prefix(s)->seq = 0;
	record_prefix(s)->flags = RECORD_MARKER;
	bpf_ringbuf_output(ring, s->bytes, record_end(s), BPF_RB_NO_WAKEUP);
}

static __always_inline void send_rare(struct scratch *s, u32 class)
{
	ring_send(s, &rare, LANE_RARE, class);
}

static __always_inline void send_bulk(struct scratch *s, u32 class)
{
	ring_send(s, &bulk, LANE_BULK, class);
}
