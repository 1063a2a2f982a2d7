// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Picks the wanted system calls at their exit. Attached only while some are wanted.
#pragma once
#include "report.h"

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
	return report(s);
}
