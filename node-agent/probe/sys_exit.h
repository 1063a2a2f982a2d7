// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Picks the wanted system calls at their exit. Attached only while some are wanted.
#pragma once
#include "calls.h"
#include "connect.h"
#include "exec.h"
#include "open.h"

static __always_inline void call_exit(struct scratch *s, struct text *t, struct task_struct *task, s64 result)
{
	switch (s->call.call) {
	case CALL_OPEN:
	case CALL_OPENAT:
	case CALL_OPENAT2: return open_exit(s, t, task, result);
	case CALL_CREAT: return creat_exit(s, t, task, result);
	case CALL_CONNECT: return connect_exit(s, task, result);
	case CALL_EXECVE:
	case CALL_EXECVEAT: return exec_failed(s, t, task, result);
	default: return described_exit(s, task, result);
	}
}

// Reports the call. Not static: what comes before it is then checked by itself, and so cheaply that the filter of opens,
// which every open of the machine goes through, needs no function of its own.
__noinline int report_call(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct text *t = text_of(program);
	if (s && t)
		call_exit(s, t, current_task(), s->call.result);
	return 0;
}

SEC("tp_btf/sys_exit")
int sys_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	struct task_struct *task = current_task();
	bool compat = is_compat(task);
	s32 call = call_number(regs, compat);
	if (!(is_wanted(call) || call == CALL_SOCKETCALL))
		return 0;
	struct scratch *s = scratch_of(PROGRAM_SYS_EXIT);
	struct text *t = text_of(PROGRAM_SYS_EXIT);
	if (!s || !t)
		return 0;
	if (tgid_of(task) == agent_tgid) {
		if (call == CALL_MARKER)
			send_marker(s, &bulk, LANE_BULK, HOOK_SYS_EXIT, task);
		return 0;
	}
	s->rejected = 0;
	s->call.call = call;
	s->call.number = native_number(regs);
	s->call.compat = compat;
	call_arguments(&s->call, regs);
	if (call == CALL_SOCKETCALL && !is_wanted(s->call.call))
		return 0;
	s->call.result = ctx[1];
	if (is_open(s->call.call) && open_rejected(s, t, task))
		return 0;
	if (s->call.call == CALL_SOCKET && socket_rejected(s))
		return 0;
	return report_call(PROGRAM_SYS_EXIT);
}
