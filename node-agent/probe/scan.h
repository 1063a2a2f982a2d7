// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The processes that exist already, told as if they had just begun to run their program.
#pragma once
#include "exec.h"

SEC("iter.s/task")
int scan(struct bpf_iter__task *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct task_struct *task = ctx->task;
	if (!task || !READ(task, mm) || READ(task, pid) != READ(task, tgid))
		return 0;
	struct scratch *s = scratch_of(PROGRAM_SCAN);
	struct text *t = text_of(PROGRAM_SCAN);
	if (!s || !t)
		return 0;
	exec_begin(s, 0, task);
	put_s64(s, 0);
	put_command_line(s, t, task, 1);
	put_exec_params(s, t, task, 1);
	put_empty(s); // filename: only the call itself knows
	put_exec_extensions(s, task);
	record_prefix(s)->flags = RECORD_STATE_ONLY;
	bpf_seq_write(seq, s->bytes, record_end(s));
	return 0;
}
