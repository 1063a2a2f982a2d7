// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Leaves out opens that no loaded rule can match. User space makes a table of the rules: two finite automata
// that read a path together, one for what it begins with, one for what it ends with and contains. An open is
// left out only if the table rejects both its text and the path of what the kernel opened; whatever cannot be
// read or decided passes.
#pragma once
#include "same_path.h"

#define FILTER_KINDS 16
#define FILTER_STATES (1 << 13)
#define FILTER_CELLS (1 << 18)
// Longer paths pass. A text and a built path share the text buffer.
#define FILTER_PATH_MAX 256

// Use of the filter: which of two tables, so that one is written while the other is in use, and what to do.
enum { FILTER_SLOT = 1, FILTER_DROP = 2, FILTER_MARK = 4 };

// A state is the number of its first cell: what one byte more costs is time of every open of the machine.
struct filter {
	u64 kinds[FILTER_KINDS]; // 0: none can match; all bits: every path may
	u64 bits[FILTER_STATES];
	u32 shift;  // a state has 1 << shift cells
	u32 second; // where the second automaton starts; the first one starts at 0
	u8 classes[256];
	u32 next[FILTER_CELLS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); // to see whether somebody changed it
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct filter);
} filters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} filter_use SEC(".maps");

static __always_inline u32 filter_mode(void)
{
	u32 zero = 0, *use = bpf_map_lookup_elem(&filter_use, &zero);
	return use ? *use : 0;
}

static __always_inline u32 filter_next(struct filter *f, u64 state, u32 class)
{
	state += class;
	OPAQUE(state);
	return f->next[state & (FILTER_CELLS - 1)];
}

static __always_inline u64 filter_bits(struct filter *f, u64 state)
{
	state >>= f->shift & 31;
	OPAQUE(state);
	return f->bits[state & (FILTER_STATES - 1)];
}

static __always_inline u64 filter_kind(struct filter *f, u64 kind)
{
	OPAQUE(kind);
	return f->kinds[kind & (FILTER_KINDS - 1)];
}

// Whether `len` bytes of the text may match a rule.
static __always_inline bool text_may_match(struct filter *f, struct text *t, u32 kind, u32 from, u32 len)
{
	u32 first = 0, second = f->second;
	for (u32 i = 0; i < FILTER_PATH_MAX && i < len; i++) {
		u32 class = f->classes[*text_at(t, from + i)];
		first = filter_next(f, first, class);
		second = filter_next(f, second, class);
	}
	return filter_kind(f, kind) & filter_bits(f, first) & filter_bits(f, second);
}

// What is known of an open by its text.
enum { PATH_MAY_MATCH, PATH_REJECTED, TEXT_REJECTED };

// What is known of the text that the call gave. If nothing was opened, the text alone counts.
static __always_inline int filter_text(struct filter *f, struct scratch *s, struct text *t)
{
	s32 fd = s->call.result;
	if (text_may_match(f, t, s->asked.kind, 0, ANEW(t->len)))
		return PATH_MAY_MATCH;
	return fd < 0 || text_is_path(t, ANEW(t->len), fd) ? PATH_REJECTED : TEXT_REJECTED;
}

// The same of the path that was built at the end of the text.
__noinline int filter_built(u32 program, u32 slot, u32 kind)
{
	struct text *t = text_of(program);
	struct filter *f = bpf_map_lookup_elem(&filters, &slot);
	return !t || !f || text_may_match(f, t, kind, t->start, TEXT_END - t->start) ? PATH_MAY_MATCH : PATH_REJECTED;
}

// Builds the kernel's own path of the file. Returns whether the filter can decide on it.
static __always_inline bool filter_path(struct scratch *s, struct text *t, struct task_struct *task, u32 fd)
{
	struct file *file = file_of(task, fd);
	if (!file)
		return 0;
	t->at = PLACE_OF(file, f_path);
	t->root = PLACE_OF(task, fs, root);
	if (path_build(s->program) != STEP_END)
		return 0;
	return TEXT_END - t->start < FILTER_PATH_MAX;
}

// Whether the open that is asked about may match a rule.
static __always_inline bool filter_open(struct scratch *s, struct text *t, struct task_struct *task, u32 slot)
{
	struct filter *f = bpf_map_lookup_elem(&filters, &slot);
	u64 bits = f ? filter_kind(f, ANEW(s->asked.kind)) : ~0ull;
	if (!f || !bits || !~bits)
		return bits;
	long size = bpf_probe_read_user_str(t->bytes, FILTER_PATH_MAX, ANEW(s->asked.name));
	if (size <= 1 || size >= FILTER_PATH_MAX || t->bytes[0] != '/')
		return 1;
	t->len = size - 1;
	int known = filter_text(f, s, t);
	if (known == TEXT_REJECTED)
		known = filter_path(s, t, task, s->call.result) ? filter_built(s->program, slot, s->asked.kind) : PATH_MAY_MATCH;
	return known == PATH_MAY_MATCH;
}
