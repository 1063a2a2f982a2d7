// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Reports a system call whose arguments and result are known, wherever they were found.
//
// The functions here are not static: each is checked by itself, so that the filter of opens, which every open of the machine
// goes through, needs no function of its own. And what one takes of the stack is not there while the other runs: before
// 6.13 kernels give a program with all that it calls 512 bytes.
#pragma once
#include "calls.h"
#include "connect.h"
#include "exec.h"
#include "open.h"

static __always_inline bool has_recipe(s32 call)
{
	switch (call) {
	case CALL_OPEN:
	case CALL_OPENAT:
	case CALL_OPENAT2:
	case CALL_CREAT:
	case CALL_CONNECT:
	case CALL_EXECVE:
	case CALL_EXECVEAT: return 0;
	default: return 1;
	}
}

__noinline int report_by_recipe(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	if (s)
		described_exit(s, current_task(), s->call.result);
	return 0;
}

__noinline int report_by_itself(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct text *t = text_of(program);
	struct task_struct *task = current_task();
	if (!s || !t)
		return 0;
	s64 result = s->call.result;
	switch (s->call.call) {
	case CALL_CONNECT: connect_exit(s, task, result); break;
	case CALL_EXECVE:
	case CALL_EXECVEAT: exec_failed(s, t, task, result); break;
	case CALL_CREAT: creat_exit(s, t, task, result); break;
	default: open_exit(s, t, task, result); break;
	}
	return 0;
}

static __always_inline int report(struct scratch *s)
{
	return has_recipe(s->call.call) ? report_by_recipe(s->program) : report_by_itself(s->program);
}
