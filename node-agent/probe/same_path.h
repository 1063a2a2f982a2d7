// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Whether the text of a path is also the kernel's own path of the file, as it is unless a link was followed: found out
// by comparing it with the names of the dentries, without building that path.
#pragma once
#include "cast.h"
#include "file.h"

#define SHORT_NAME_WORDS 5
#define SAME_DEPTH_MAX 16
// Texts are compared by words of 8 bytes; the last one may reach behind the end.
#define SAME_TEXT_MAX 256

// Eight bytes of the text; clang would load them one by one.
static __always_inline u64 text_word(struct text *t, u64 at)
{
	u64 word;
	OPAQUE(at);
	u8 *from = &t->bytes[at & (SAME_TEXT_MAX - 1)];
	asm volatile("%0 = *(u64 *)(%1 + 0)" : "=r"(word) : "r"(from));
	return word;
}

// Whether the name of the dentry, `len` bytes long, stands at this place of the text. The loop is unrolled because the
// verifier wants offsets in structures to be constants.
static __always_inline bool name_at(struct text *t, u64 at, const struct dentry *dentry, u32 len)
{
	const union shortname_store *name = &CAST(struct dentry___short, dentry)->d_shortname;
	u64 last = ~0ull >> (-len & 7) * 8; // what of its last word is the name's
	u64 differ = 0;
#pragma unroll
	for (u32 i = 0; i < SHORT_NAME_WORDS; i++) {
		if (len <= i * 8)
			break;
		u64 mask = len <= i * 8 + 8 ? last : ~0ull;
		differ |= (text_word(t, at + i * 8) ^ name->words[i]) & mask;
	}
	return !differ;
}

static __always_inline bool has_short_name(const struct dentry *dentry, u32 len)
{
	u64 own = (u64)dentry + bpf_core_field_offset(struct dentry___short, d_shortname);
	return len < SHORT_NAME_WORDS * 8 && (u64)dentry->d_name.name == own;
}

static __always_inline bool can_compare(void)
{
	return casts && knows_task() && bpf_core_field_exists(struct dentry___short, d_shortname);
}

// Whether the text's first `len` bytes are the names from the root down to the place, which path_step would put together.
// Also no where a name is long.
static __always_inline bool leads_to(struct text *t, u32 len, const struct path *at, const struct path *root)
{
	const struct dentry *dentry = at->dentry, *end = root->dentry, *top;
	const struct vfsmount *mnt = at->mnt, *last = root->mnt;
	top = mnt->mnt_root;
	for (u32 i = 0; i < SAME_DEPTH_MAX; i++) {
		if (dentry == end && mnt == last)
			return len == 0;
		if (dentry == top) {
			const struct mount *m = CAST(struct mount, mount_of((void *)mnt));
			dentry = m->mnt_mountpoint;
			mnt = &m->mnt_parent->mnt;
			top = mnt->mnt_root;
			continue;
		}
		u32 name = dentry->d_name.len;
		if (name >= len || !has_short_name(dentry, name) || !name_at(t, len - name, dentry, name))
			return 0;
		len = (len - name - 1) & (SAME_TEXT_MAX - 1);
		if (*text_at(t, len) != '/')
			return 0;
		dentry = dentry->d_parent;
	}
	return 0;
}

// The file behind a descriptor.
static __always_inline const struct file *file_at(struct task_struct *task, u32 fd)
{
	struct fdtable *table = task->files->fdt;
	if (fd >= table->max_fds)
		return 0;
	return CAST(struct file, pointer_at(table->fd + fd));
}

// Whether the first `len` bytes of the text are the path of the file behind the descriptor.
static __always_inline bool text_is_path(struct text *t, u32 len, u32 fd)
{
	if (!can_compare() || len >= SAME_TEXT_MAX)
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	const struct file *file = file_at(task, fd);
	return file && leads_to(t, len, &file->f_path, &task->fs->root);
}
