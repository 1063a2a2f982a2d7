// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The texts of paths as the kernel took them. The caller's memory may be another one at the exit of the call; the
// kernel's copy is gone by then. It is seen when it is given back, which every piece of memory of one size is: the hook
// costs all of them, so it is in use only for rules on calls that change directories.
#pragma once
#include "registers.h"
#include "path.h"

#define NAMES_KEPT 256

struct name_key {
	u64 thread;
	u64 user; // the address that the caller gave
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

static __always_inline bool in_wanted_call(void)
{
	struct task_struct *task = current_task();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	s32 call = call_number(regs, is_compat(task));
	return is_wanted(call) && call != CALL_OPEN && call != CALL_OPENAT && call != CALL_OPENAT2 && call != CALL_CREAT;
}

SEC("tp_btf/kmem_cache_free")
int kmem_cache_free(u64 *ctx)
{
	struct filename *name = 0;
	if (!is_names_cache((void *)ctx[2]) || !in_wanted_call())
		return 0;
	// Kernels of 2024 and before let nobody read an argument of this type, `const void *`, directly.
	bpf_probe_read_kernel(&name, sizeof(name), &ctx[1]);
	struct text *t = text_of(PROGRAM_NAMES);
	struct name_key key = {bpf_get_current_pid_tgid(), (u64)READ(name, uptr)};
	u64 text = (u64)READ(name, name);
	// Very long texts stand apart from what describes them.
	if (!t || text != (u64)name + bpf_core_field_offset(struct filename, iname))
		return 0;
	if (bpf_probe_read_kernel_str(t->bytes, TEXT_MAX, (void *)text) > 0)
		bpf_map_update_elem(&names, &key, t->bytes, 0);
	return 0;
}

// The text at this address, as the kernel took it where that is known.
static __always_inline void put_path_text(struct scratch *s, const void *from)
{
	struct name_key key = {bpf_get_current_pid_tgid(), (u64)from};
	struct name_text *taken = s->call.kernel ? 0 : bpf_map_lookup_elem(&names, &key);
	if (!taken)
		return put_given_text(s, from);
	put_text(s, taken->bytes);
	bpf_map_delete_elem(&names, &key);
}
