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

// The kernel's struct path, but not relocated, so it may live on the stack and be read at once.
struct place {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

#define PLACE_OF(from, field...) \
	((struct place){BPF_CORE_READ(from, field.mnt), BPF_CORE_READ(from, field.dentry)})

// The root directory of the current task.
static __always_inline struct place root_of(struct task_struct *task)
{
	struct fs_struct *fs = knows_task() ? task->fs : BPF_CORE_READ(task, fs);
	struct place root = {};
	bpf_core_read(&root, sizeof(root), &fs->root);
	return root;
}

struct walk {
	struct place at, root;
	struct dentry *top; // of the mount
};

// The kernel's struct qstr, read at once.
struct name {
	u32 hash, len;
	const u8 *text;
};

static __always_inline struct mount *mount_of(struct vfsmount *mnt)
{
	return (void *)mnt - bpf_core_field_offset(struct mount, mnt);
}

static __always_inline struct dentry *top_of(struct vfsmount *mnt)
{
	return BPF_CORE_READ(mnt, mnt_root);
}

// STEP_NONE: it has no path, like a pipe.
enum step { STEP_UP, STEP_END, STEP_FULL, STEP_NONE };

// Goes from one dentry to the one above it, across mounts, and notes its name.
static __always_inline enum step path_step(struct text *t, struct walk *w)
{
	struct dentry *here = w->at.dentry;
	struct vfsmount *mnt = w->at.mnt;
	if (here == w->root.dentry && mnt == w->root.mnt)
		return STEP_END;
	if (here == w->top) {
		struct mount *m = mount_of(mnt), *parent = BPF_CORE_READ(m, mnt_parent);
		w->at.dentry = BPF_CORE_READ(m, mnt_mountpoint);
		w->at.mnt = (void *)parent + bpf_core_field_offset(struct mount, mnt);
		w->top = top_of(w->at.mnt);
		return parent == m ? STEP_END : STEP_UP;
	}
	struct name name = {};
	w->at.dentry = BPF_CORE_READ(here, d_parent);
	bpf_core_read(&name, sizeof(name), &here->d_name);
	bool alone = w->at.dentry == here;
	if (alone && !name.len)
		return STEP_NONE;
	if (!path_prepend(t, name.text, name.len))
		return STEP_FULL;
	return alone ? STEP_END : STEP_UP;
}

static __always_inline struct text *text_of(u32 program)
{
	return bpf_map_lookup_elem(&texts, &program);
}

// Puts the path of a dentry, as a process with that root sees it, into the program's text. What is too long
// keeps its end, without a leading slash, so that it is never taken for another absolute path.
// Not static: the verifier then checks it once, not once per caller; such a function takes numbers only.
__noinline int path_build(u32 program, u64 mnt, u64 dentry, u64 root_mnt, u64 root_dentry)
{
	struct walk w = {.at = {(void *)mnt, (void *)dentry}, .root = {(void *)root_mnt, (void *)root_dentry}};
	struct text *t = text_of(program);
	int step = STEP_UP;
	if (!t)
		return STEP_NONE;
	w.top = top_of(w.at.mnt);
	text_begin(t);
	for (int i = 0; i < COMPONENTS_MAX && step == STEP_UP; i++)
		step = path_step(t, &w);
	if (step == STEP_UP || step == STEP_FULL)
		t->start++;
	else if (t->start == TEXT_END)
		text_prepend_slash(t);
	return step;
}

// A parameter with the path of `at` as `task` sees it.
static __always_inline void put_path(struct scratch *s, struct text *t, struct task_struct *task, struct place at)
{
	struct place root = PLACE_OF(task, fs, root);
	int step = STEP_NONE;
	if (at.dentry)
		step = path_build(s->program, (u64)at.mnt, (u64)at.dentry, (u64)root.mnt, (u64)root.dentry);
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
