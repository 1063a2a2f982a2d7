// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The texts of paths as the kernel took them. The caller's memory may be another one at the exit of the call; the
// kernel's copy is gone by then. It is seen when it is given back, which every piece of memory of one size is: the hook
// costs all of them, so it is in use only for rules on calls that change directories.
//
// A copy says whose it is by the address that the caller gave. Only where the text leaves no room for that (32 bytes less
// than the longest path) it goes by its place: which of the call's very long texts was given back first.
#pragma once
#include "registers.h"
#include "path.h"

#define NAMES_KEPT 256
// The longest text beside which there is room for what describes it, with its NUL.
#define LONG_TEXT (TEXT_MAX - bpf_core_field_offset(struct filename, iname))

struct name_key {
	u64 thread;
	u64 user; // the address that the caller gave, or the place of a very long text
};

struct name_text {
	u8 bytes[TEXT_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NAMES_KEPT);
	__type(key, struct name_key);
	__type(value, struct name_text);
} names SEC(".maps");

// Where the kernel keeps such copies, once it is known.
u64 names_cache = 0;

static __always_inline bool is_names_cache(struct kmem_cache *cache)
{
	const char wanted[] = "names_cache";
	char name[sizeof(wanted)] = {};
	if (names_cache)
		return names_cache == (u64)cache;
	bpf_probe_read_kernel_str(name, sizeof(name), READ(cache, name));
	for (u32 i = 0; i < sizeof(wanted); i++)
		if (name[i] != wanted[i])
			return 0;
	names_cache = (u64)cache;
	return 1;
}

// The wanted call that the thread is in and that has paths which are kept, or none.
static __always_inline s32 naming_call(void)
{
	struct task_struct *task = current_task();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	s32 call = call_number(regs, is_compat(task));
	return is_wanted(call) && !is_open(call) && call != CALL_GETCWD ? call : CALL_NONE;
}

// Of a call's very long texts, by the order in which they are given back. No user's address is as small.
static __always_inline u64 long_place(s32 call, bool second)
{
	return (u32)call * 2 + second;
}

static __always_inline bool is_symlink(s32 call)
{
	return call == CALL_SYMLINK || call == CALL_SYMLINKAT;
}

static __always_inline bool has_two_paths(s32 call)
{
	return is_symlink(call) || call == CALL_RENAME || call == CALL_RENAMEAT || call == CALL_RENAMEAT2 ||
	       call == CALL_LINK || call == CALL_LINKAT;
}

// Keeps a text that fills the memory it is in, as it stands apart from what describes it.
static __always_inline void keep_long(struct text *t, s32 call, const void *text)
{
	struct name_key key = {bpf_get_current_pid_tgid(), long_place(call, 0)};
	if (bpf_probe_read_kernel_str(t->bytes, TEXT_MAX, text) <= LONG_TEXT)
		return;
	if (has_two_paths(call) && bpf_map_lookup_elem(&names, &key))
		key.user = long_place(call, 1);
	bpf_map_update_elem(&names, &key, t->bytes, 0);
}

SEC("tp_btf/kmem_cache_free")
int kmem_cache_free(u64 *ctx)
{
	struct filename *name = 0;
	struct text *t = text_of(PROGRAM_NAMES);
	if (!t || !is_names_cache((void *)ctx[2]))
		return 0;
	s32 call = naming_call();
	if (call == CALL_NONE)
		return 0;
	// Kernels of 2024 and before let nobody read an argument of this type, `const void *`, directly.
	bpf_probe_read_kernel(&name, sizeof(name), &ctx[1]);
	struct name_key key = {bpf_get_current_pid_tgid(), (u64)READ(name, uptr)};
	u64 text = (u64)READ(name, name);
	if (text != (u64)name + bpf_core_field_offset(struct filename, iname))
		keep_long(t, call, name);
	else if (bpf_probe_read_kernel_str(t->bytes, TEXT_MAX, (void *)text) > 0)
		bpf_map_update_elem(&names, &key, t->bytes, 0);
	return 0;
}

// Puts the text that is kept under this key, if there is one.
static __always_inline bool put_kept(struct scratch *s, u64 user)
{
	struct name_key key = {bpf_get_current_pid_tgid(), user};
	struct name_text *taken = bpf_map_lookup_elem(&names, &key);
	if (!taken)
		return 0;
	put_text(s, taken->bytes);
	bpf_map_delete_elem(&names, &key);
	return 1;
}

// The text at this address, as the kernel took it where that is known. A symbolic link's own name is given back before
// its target's.
static __always_inline void put_path_text(struct scratch *s, const void *from)
{
	s32 call = s->call.call;
	bool reversed = is_symlink(call);
	if (s->call.kernel || !(put_kept(s, (u64)from) || put_kept(s, long_place(call, reversed)) ||
				put_kept(s, long_place(call, !reversed))))
		put_given_text(s, from);
}
