// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The current task. Kernels since 5.11 tell the verifier its type: what it points to is then read without the help
// of a function, which makes every system call of the machine cheaper.
#pragma once
#include "cast.h"

static __always_inline bool knows_task(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf);
}

static __always_inline struct task_struct *current_task(void)
{
	return knows_task() ? bpf_get_current_task_btf() : (void *)bpf_get_current_task();
}

static __always_inline u32 tgid_of(struct task_struct *task)
{
	return knows_task() ? task->tgid : bpf_get_current_pid_tgid() >> 32;
}

// The descriptors of the current task, which is asked for again: passed through a function it loses its type.
static __always_inline struct fdtable *fd_table(void)
{
	struct task_struct *task = current_task();
	return knows_task() ? task->files->fdt : BPF_CORE_READ(task, files, fdt);
}
