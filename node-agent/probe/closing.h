// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// What a descriptor stood for that a call closes: at the exit of the call it is gone, so it is kept from the entry on.
// Every call of the machine passes that hook: it is in use only for rules that ask what was closed.
#pragma once
#include "facts.h"
#include "registers.h"

#define CLOSING_KEPT 256

struct closing {
	u16 len;
	u8 facts[TEXT_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CLOSING_KEPT);
	__type(key, u64); // process and thread
	__type(value, struct closing);
} closing SEC(".maps");

// The facts as the only parameter of a record that nobody gets: behind its length, as the map has them.
static __always_inline void keep_closing(struct scratch *s, u32 fd)
{
	u64 thread = bpf_get_current_pid_tgid();
	s->at = LENGTHS_AT + sizeof(u16);
	s->index = 0;
	put_facts(s->program, fd);
	if (s->at == LENGTHS_AT + sizeof(u16))
		bpf_map_delete_elem(&closing, &thread);
	else
		bpf_map_update_elem(&closing, &thread, s->bytes + LENGTHS_AT, 0);
}

SEC("tp_btf/sys_enter")
int sys_enter(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	struct task_struct *task = current_task();
	bool compat = is_compat(task);
	if (call_number(regs, compat) != CALL_CLOSE || !is_wanted(CALL_CLOSE) || tgid_of(task) == agent_tgid)
		return 0;
	struct scratch *s = scratch_of(PROGRAM_CLOSING);
	if (!s)
		return 0;
	s->call.call = CALL_CLOSE;
	s->call.compat = compat;
	call_arguments(&s->call, regs);
	keep_closing(s, s->call.args[0]);
	return 0;
}

// What was kept, if anything was.
__noinline int put_closed(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	u64 thread = bpf_get_current_pid_tgid();
	struct closing *kept = bpf_map_lookup_elem(&closing, &thread);
	if (!s)
		return 0;
	if (!kept) {
		put_empty(s);
		return 0;
	}
	put_bytes(s, kept->facts, kept->len);
	bpf_map_delete_elem(&closing, &thread);
	return 0;
}
