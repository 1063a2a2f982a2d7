// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Paths from the kernel's own objects: dentries and mounts up to the root of the process.
#pragma once
#include "record.h"
#include "task.h"

#define COMPONENTS_MAX 128
#define TEXT_END (TEXT_MAX - 1)

// A place in a text, masked so that the verifier sees its bounds.
static __always_inline u8 *text_at(struct text *t, u64 at)
{
	OPAQUE(at);
	return &t->bytes[at & TEXT_END];
}

// Puts `len` bytes before what the text holds. Returns 0 if they do not fit.
static __always_inline bool text_prepend(struct text *t, const u8 *from, u64 len)
{
	OPAQUE(len);
	len &= NAME_BYTES - 1;
	u32 start = t->start - len;
	if (start > TEXT_END)
		return 0;
	bpf_probe_read_kernel(text_at(t, start), len, from);
	t->start = start;
	return 1;
}

static __always_inline void text_prepend_slash(struct text *t)
{
	t->start--;
	*text_at(t, t->start) = '/';
}

// Puts "/NAME" before what the text holds. Returns 0 if it does not fit.
static __always_inline bool path_prepend(struct text *t, const u8 *name, u64 len)
{
	if (!text_prepend(t, name, len) || !t->start)
		return 0;
	text_prepend_slash(t);
	return 1;
}

static __always_inline void text_begin(struct text *t)
{
	t->start = TEXT_END;
	t->bytes[TEXT_END] = 0;
}

// Ends the parameter with the text and its NUL.
static __always_inline void put_built_text(struct scratch *s, struct text *t)
{
	u32 start = t->start & TEXT_END;
	put_bytes(s, &t->bytes[start], TEXT_MAX - start);
}

#define PLACE_OF(from, field...) \
	((struct place){READ(from, field.mnt), READ(from, field.dentry)})

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

static __always_inline struct dentry *top_of(struct vfsmount *mnt)
{
	return READ(mnt, mnt_root);
}

// STEP_NONE: it has no path, like a pipe.
enum step { STEP_UP, STEP_END, STEP_FULL, STEP_NONE };

static __always_inline struct text *text_of(u32 program)
{
	return bpf_map_lookup_elem(&texts, &program);
}

// Goes from the text's dentry to the one above it, across mounts, and notes its name.
// Not static: the verifier then checks it once, not once per round.
__noinline int path_step(u32 program)
{
	struct text *t = text_of(program);
	if (!t)
		return STEP_NONE;
	struct dentry *here = t->at.dentry;
	struct vfsmount *mnt = t->at.mnt;
	if (here == t->root.dentry && mnt == t->root.mnt)
		return STEP_END;
	if (here == t->top) {
		struct mount *m = mount_of(mnt), *parent = READ(m, mnt_parent);
		t->at.dentry = READ(m, mnt_mountpoint);
		t->at.mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
		t->top = top_of(t->at.mnt);
		return parent == m ? STEP_END : STEP_UP;
	}
	u32 len = READ(here, d_name.len);
	t->at.dentry = READ(here, d_parent);
	bool alone = t->at.dentry == here;
	if (alone && !len)
		return STEP_NONE;
	if (!path_prepend(t, READ(here, d_name.name), len))
		return STEP_FULL;
	return alone ? STEP_END : STEP_UP;
}

// Puts the path of the text's place, as a process with its root sees it, into the text. What is too long
// keeps its end, without a leading slash, so that it is never taken for another absolute path.
// Not static: the verifier then checks it once, not once per caller.
__noinline int path_build(u32 program)
{
	struct text *t = text_of(program);
	int step = STEP_UP;
	if (!t)
		return STEP_NONE;
	t->top = top_of(t->at.mnt);
	text_begin(t);
	for (int i = 0; i < COMPONENTS_MAX && step == STEP_UP; i++)
		step = path_step(program);
	if (step == STEP_UP || step == STEP_FULL)
		t->start++;
	else if (t->start == TEXT_END)
		text_prepend_slash(t);
	return step;
}

// A parameter with the path of `at` as `task` sees it.
static __always_inline void put_path(struct scratch *s, struct text *t, struct task_struct *task, struct place at)
{
	int step = STEP_NONE;
	t->at = at;
	t->root = PLACE_OF(task, fs, root);
	if (at.dentry)
		step = path_build(s->program);
	if (step == STEP_NONE)
		return put_empty(s);
	if (step != STEP_END)
		s->truncated = 1;
	put_built_text(s, t);
}

static __always_inline void put_file_path(struct scratch *s, struct text *t, struct task_struct *task,
					 struct file *file)
{
	if (!file)
		return put_empty(s);
	put_path(s, t, task, PLACE_OF(file, f_path));
}
