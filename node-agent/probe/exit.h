// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The end of a process or thread.
#pragma once
#include "process.h"
#include "ring.h"

enum { EVENT_PROCEXIT = 186, PROCEXIT_PARAMS = 5 };
enum { PF_EXITING = 4, THREADS_MAX = 16, ANCESTORS_MAX = 16 };

static __always_inline bool has_children(struct task_struct *task)
{
	void *head = (void *)task + bpf_core_field_offset(struct task_struct, children);
	return READ(task, children.next) != head;
}

// A thread of the task's process that does not end, or none.
static __always_inline struct task_struct *living_thread(struct task_struct *task)
{
	struct signal_struct *signal = READ(task, signal);
	void *head = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	void *node = READ(signal, thread_head.next);
	for (u32 i = 0; i < THREADS_MAX && node && node != head; i++) {
		struct task_struct *thread = node - bpf_core_field_offset(struct task_struct, thread_node);
		if (!(READ(thread, flags) & PF_EXITING))
			return thread;
		node = READ(thread, thread_node.next);
	}
	return 0;
}

// The nearest ancestor in the same pid namespace that asked to get the children of its descendants.
static __always_inline struct task_struct *subreaper(struct task_struct *task)
{
	u32 level = pid_level(task);
	struct task_struct *ancestor = READ(task, real_parent);
	for (u32 i = 0; i < ANCESTORS_MAX && ancestor && pid_level(ancestor) == level; i++) {
		struct signal_struct *signal = READ(ancestor, signal);
		if (BPF_CORE_READ_BITFIELD_PROBED(signal, is_child_subreaper))
			return ancestor;
		ancestor = READ(ancestor, real_parent);
	}
	return 0;
}

// Who inherits the children, as the kernel will decide; 0 if there are none. A subreaper that ends itself counts for
// nothing, whoever stands behind it.
static __always_inline s64 reaper(struct task_struct *task)
{
	struct signal_struct *signal = READ(task, signal);
	struct task_struct *thread = 0, *process = task;
	if (!has_children(task))
		return 0;
	bool reaped = BPF_CORE_READ_BITFIELD_PROBED(signal, has_child_subreaper);
	for (u32 i = 0; i < 2 && process && !thread; i++) {
		thread = living_thread(process);
		process = reaped ? subreaper(task) : 0;
	}
	if (!thread)
		thread = init_of(task);
	return READ(thread, pid);
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
