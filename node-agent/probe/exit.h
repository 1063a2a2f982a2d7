// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The end of a process or thread.
#pragma once
#include "process.h"
#include "ring.h"

enum { EVENT_PROCEXIT = 186, PROCEXIT_PARAMS = 5 };

static __always_inline bool has_children(struct task_struct *task)
{
	void *head = (void *)task + bpf_core_field_offset(struct task_struct, children);
	return READ(task, children.next) != head;
}

// Who inherits the children: the init process of the pid namespace. 0 if nobody, or if it depends on threads
// that still live or on a subreaper further up: user space knows those.
static __always_inline s64 reaper(struct task_struct *task)
{
	struct signal_struct *signal = READ(task, signal);
	if (!has_children(task) || READ(signal, live.counter) > 0 ||
	    BPF_CORE_READ_BITFIELD_PROBED(signal, has_child_subreaper))
		return 0;
	struct task_struct *init = init_of(task);
	return READ(init, pid);
}

SEC("tp_btf/sched_process_exit")
int sched_process_exit(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct scratch *s = scratch_of(PROGRAM_EXIT);
	if (!s || is_kernel_thread(task))
		return 0;
	if (READ(task, tgid) == agent_tgid) {
		send_marker(s, &rare, LANE_RARE, HOOK_EXIT, task);
		return 0;
	}
	record_begin(s, EVENT_PROCEXIT, PROCEXIT_PARAMS, task);
	u32 status = READ(task, exit_code), signal = status & 0x7f;
	put_s64(s, status);
	put_s64(s, (status >> 8) & 0xff);
	put_u8(s, signal);
	put_u8(s, (status & 0x80) ? 1 : 0);
	put_s64(s, reaper(task));
	send_rare(s, CLASS_EXIT);
	return 0;
}
