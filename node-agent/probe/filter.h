// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Leaves out opens that no loaded rule can match. User space makes a table of the rules: two finite automata
// that read a path together, one for what it begins with, one for what it ends with and contains. An open is
// left out only if the table rejects both its text and the path of what the kernel opened; whatever cannot be
// read or decided passes.
#pragma once
#include "file.h"

#define FILTER_KINDS 16
#define FILTER_STATES (1 << 13)
#define FILTER_CELLS (1 << 18)
// Longer paths pass. A text and a built path share the text buffer.
#define FILTER_PATH_MAX 256

// Use of the filter: which of two tables, so that one is written while the other is in use, and what to do.
enum { FILTER_SLOT = 1, FILTER_DROP = 2, FILTER_MARK = 4 };

struct filter {
	u64 kinds[FILTER_KINDS]; // 0: none can match; all bits: every path may
	u64 bits[FILTER_STATES];
	u32 stride;
	u32 second; // where the second automaton starts; the first one starts at 0
	u8 classes[256];
	u16 next[FILTER_CELLS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
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

static __always_inline u32 filter_next(struct filter *f, u32 state, u32 class)
{
	u64 cell = state * f->stride + class;
	OPAQUE(cell);
	return f->next[cell & (FILTER_CELLS - 1)];
}

static __always_inline u64 filter_bits(struct filter *f, u64 state)
{
	OPAQUE(state);
	return f->bits[state & (FILTER_STATES - 1)];
}

// Whether `len` bytes of the program's text may match a rule. Not static: see path_build.
__noinline int filter_text(u32 program, u32 slot, u32 kind, u32 from, u32 len)
{
	struct text *t = text_of(program);
	struct filter *f = bpf_map_lookup_elem(&filters, &slot);
	u32 first = 0, second;
	if (!t || !f)
		return 1;
	second = f->second;
	for (u32 i = 0; i < FILTER_PATH_MAX && i < len; i++) {
		u32 class = f->classes[*text_at(t, from + i)];
		first = filter_next(f, first, class);
		second = filter_next(f, second, class);
	}
	return (f->kinds[kind & (FILTER_KINDS - 1)] & filter_bits(f, first) & filter_bits(f, second)) != 0;
}

// The root of the current task.
#define ROOT_OF(task) (knows_task() ? (struct place){task->fs->root.mnt, task->fs->root.dentry} : PLACE_OF(task, fs, root))

// Whether `len` bytes of the text are those of the path that was built behind it.
__noinline int filter_same(u32 program, u32 start, u32 len)
{
	struct text *t = text_of(program);
	if (!t)
		return 0;
	for (u32 i = 0; i < FILTER_PATH_MAX && i < len; i++)
		if (*text_at(t, i) != *text_at(t, start + i))
			return 0;
	return 1;
}

// Builds the kernel's own path of the file. Returns where it begins; 0 if the filter cannot decide on it.
static __always_inline u32 filter_path(struct scratch *s, struct text *t, struct task_struct *task, struct file *file)
{
	struct place root = root_of(task), at = {};
	if (!file)
		return 0;
	bpf_core_read(&at, sizeof(at), &file->f_path);
	if (path_build(s->program, (u64)at.mnt, (u64)at.dentry, (u64)root.mnt, (u64)root.dentry) != STEP_END)
		return 0;
	return TEXT_END - t->start < FILTER_PATH_MAX ? t->start : 0;
}

// Whether an open of this kind may match a rule.
static __always_inline bool filter_open(struct scratch *s, struct text *t, struct task_struct *task, u32 slot, u32 kind,
					const void *name, struct file *file, bool success)
{
	struct filter *f = bpf_map_lookup_elem(&filters, &slot);
	u64 bits = f ? f->kinds[kind & (FILTER_KINDS - 1)] : ~0ull;
	if (!bits || !~bits)
		return bits;
	long size = bpf_probe_read_user_str(t->bytes, FILTER_PATH_MAX, name);
	if (size <= 1 || size >= FILTER_PATH_MAX || t->bytes[0] != '/')
		return 1;
	u32 len = size - 1, start;
	if (filter_text(s->program, slot, kind, 0, len))
		return 1;
	if (!success)
		return 0;
	start = filter_path(s, t, task, file);
	if (!start)
		return 1;
	if (TEXT_END - start == len && filter_same(s->program, start, len))
		return 0;
	return filter_text(s->program, slot, kind, start, TEXT_END - start);
}
