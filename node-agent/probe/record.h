// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Builds a record: a prefix of our own, then an event in the layout of scap files: header, lengths, parameters.
#pragma once
#include "cast.h"

struct prefix {
	u64 seq;
	u64 start;
	u32 tgid;
	u16 cpu;
	u8 lane;
	u8 flags;
} __attribute__((packed));

enum {
	RECORD_STATE_ONLY = 1,
	RECORD_TRUNCATED = 2,
	RECORD_REJECTED = 4,
	RECORD_MARKER = 8,
	// Of a request that is made now and ends later: user space joins both by their last parameter, which is one more
	// than the event has. What the second half knows is what counts.
	RECORD_FIRST_HALF = 16,
	RECORD_LAST_HALF = 32,
	RECORD_MAY_BE_ALONE = 64, // if it succeeds, no second half comes
};

struct header {
	u64 ts;
	u64 tid;
	u32 len;
	u16 code;
	u32 nparams;
} __attribute__((packed));

#define LENGTHS_AT (sizeof(struct prefix) + sizeof(struct header))
#define PARAMS_MAX 64

static __always_inline struct prefix *record_prefix(struct scratch *s)
{
	return (struct prefix *)s->bytes;
}

static __always_inline struct header *record_header(struct scratch *s)
{
	return (struct header *)(s->bytes + sizeof(struct prefix));
}

static __always_inline struct scratch *scratch_of(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	if (s)
		s->program = program;
	return s;
}

// Starts a record of `nparams` parameters about `task`.
static __always_inline void record_begin(struct scratch *s, u16 code, u32 nparams, struct task_struct *task)
{
	if (s->half)
		nparams++;
	s->at = LENGTHS_AT + 2 * nparams;
	s->index = 0;
	s->truncated = 0;
	struct prefix *p = record_prefix(s);
	p->start = READ(task, group_leader, start_boottime);
	p->tgid = READ(task, tgid);
	p->cpu = bpf_get_smp_processor_id();
	p->flags = 0;
	struct header *h = record_header(s);
	h->ts = bpf_ktime_get_boot_ns();
	h->tid = (s64)READ(task, pid);
	h->code = code;
	h->nparams = nparams;
}

// Hides from the compiler what it knows of `value`, so that the check after it is one the verifier sees.
#define OPAQUE(value) asm volatile("" : "+r"(value))

// Where the next parameter goes, or RECORD_BYTES if the record is full.
static __always_inline u64 record_at(struct scratch *s)
{
	u64 at = s->at;
	OPAQUE(at);
	if (at <= RECORD_LIMIT)
		return at;
	s->truncated = 1;
	return RECORD_BYTES;
}

// Ends the parameter that began at `s->at` and has `len` bytes.
static __always_inline void put_length(struct scratch *s, u32 len)
{
	*(u16 *)(s->bytes + LENGTHS_AT + 2 * (s->index & (PARAMS_MAX - 1))) = len;
	s->index++;
	s->at += len;
}

static __always_inline void put_empty(struct scratch *s)
{
	put_length(s, 0);
}

#define DEFINE_PUT(type)                                              \
	static __always_inline void put_##type(struct scratch *s, type value) \
	{                                                             \
		u64 at = record_at(s);                                \
		if (at > RECORD_LIMIT)                                \
			return put_empty(s);                          \
		*(type *)(s->bytes + at) = value;                     \
		put_length(s, sizeof(type));                          \
	}

DEFINE_PUT(u8)
DEFINE_PUT(u16)
DEFINE_PUT(u32)
DEFINE_PUT(u64)

static __always_inline void put_s64(struct scratch *s, s64 value)
{
	put_u64(s, value);
}

// `len` bytes from `from`, which is kernel memory; more than TEXT_MAX are cut.
static __always_inline void put_bytes(struct scratch *s, const void *from, u64 len)
{
	u64 at = record_at(s);
	if (at > RECORD_LIMIT)
		return put_empty(s);
	OPAQUE(len);
	if (len > TEXT_MAX) {
		s->truncated = 1;
		len = TEXT_MAX;
	}
	if (bpf_probe_read_kernel(s->bytes + at, len, from))
		return put_empty(s);
	put_length(s, len);
}

static __always_inline void put_text_length(struct scratch *s, long len)
{
	if (len >= TEXT_MAX)
		s->truncated = 1;
	put_length(s, len > 0 ? len : 0);
}

// A NUL-terminated text in kernel memory.
static __always_inline void put_text(struct scratch *s, const void *from)
{
	u64 at = record_at(s);
	if (at > RECORD_LIMIT)
		return put_empty(s);
	put_text_length(s, bpf_probe_read_kernel_str(s->bytes + at, TEXT_MAX, from));
}

// A NUL-terminated text in user memory of the current process.
static __always_inline void put_user_text(struct scratch *s, const void *from)
{
	u64 at = record_at(s);
	if (at > RECORD_LIMIT)
		return put_empty(s);
	put_text_length(s, bpf_probe_read_user_str(s->bytes + at, TEXT_MAX, from));
}

// A text that the call names: in user memory, or the kernel's copy of it.
static __always_inline void put_given_text(struct scratch *s, const void *from)
{
	if (s->call.kernel)
		put_text(s, from);
	else
		put_user_text(s, from);
}

// Memory that the call names.
static __always_inline long read_given(struct scratch *s, void *to, u64 size, const void *from)
{
	return s->call.kernel ? bpf_probe_read_kernel(to, size, from) : bpf_probe_read_user(to, size, from);
}

// Sets the length and flags that are known at the end. Returns the record's size, at most RECORD_BYTES.
static __always_inline u64 record_end(struct scratch *s)
{
	if (s->half) {
		put_u64(s, s->call.request);
		record_prefix(s)->flags |= s->half;
	}
	u64 size = s->at;
	if (s->truncated)
		record_prefix(s)->flags |= RECORD_TRUNCATED;
	if (s->rejected)
		record_prefix(s)->flags |= RECORD_REJECTED;
	record_header(s)->len = size - sizeof(struct prefix);
	OPAQUE(size);
	return size > RECORD_BYTES ? RECORD_BYTES : size;
}
