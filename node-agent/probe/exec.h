// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// A process that runs another program: at the kernel's own exec tracepoint if it succeeded, else at the exit
// of the call.
#pragma once
#include "cgroup.h"
#include "file.h"
#include "names.h"
#include "process.h"
#include "registers.h"
#include "ring.h"

// Behind the parameters of the table follow sid, vtid, vpid and pidns_init_start_ts.
enum { EVENT_EXECVE = 293, EXECVE_PARAMS = 31, EVENT_EXECVEAT = 331, EXECVEAT_PARAMS = 30, EXEC_EXTENSIONS = 4 };
enum { ARGUMENTS_MAX = 32 };

static __always_inline void exec_begin(struct scratch *s, bool at, struct task_struct *task)
{
	if (at)
		record_begin(s, EVENT_EXECVEAT, EXECVEAT_PARAMS + EXEC_EXTENSIONS, task);
	else
		record_begin(s, EVENT_EXECVE, EXECVE_PARAMS + EXEC_EXTENSIONS, task);
}

static __always_inline void put_capabilities(struct scratch *s, const struct cred *cred)
{
	u64 inheritable = 0, permitted = 0, effective = 0;
	bpf_core_read(&inheritable, sizeof(inheritable), &cred->cap_inheritable);
	bpf_core_read(&permitted, sizeof(permitted), &cred->cap_permitted);
	bpf_core_read(&effective, sizeof(effective), &cred->cap_effective);
	put_u64(s, inheritable);
	put_u64(s, permitted);
	put_u64(s, effective);
}

static __always_inline void put_exec_inode(struct scratch *s, struct inode *inode)
{
	put_u64(s, READ(inode, i_ino));
	put_u64(s, inode_ctime(inode));
	put_u64(s, inode_mtime(inode));
}

// Parameters 16 to 29, without env.
static __always_inline void put_exec_identity(struct scratch *s, struct text *t, struct task_struct *task, u32 level)
{
	struct file *exe = READ(task, mm, exe_file);
	const struct cred *cred = READ(task, cred);
	put_u32(s, tty_number(task));
	put_s64(s, group_id(task, PIDTYPE_PGID, level));
	put_u32(s, login_uid(task));
	put_u32(s, exe_flags(exe, cred));
	put_capabilities(s, cred);
	put_exec_inode(s, READ(exe, f_inode));
	put_u32(s, READ(cred, euid.val));
	put_file_path(s, t, task, exe);
	put_s64(s, group_id(task, PIDTYPE_PGID, 0));
	put_u32(s, READ(cred, egid.val));
}

// Parameters 3 to 29: all but the result and the command line.
static __always_inline void put_exec_params(struct scratch *s, struct text *t, struct task_struct *task, bool sleepable)
{
	put_process(s, t, task);
	put_cgroups(s, t, task);
	put_environment(s, t, task, sleepable);
	put_exec_identity(s, t, task, pid_level(task));
}

static __always_inline void put_exec_extensions(struct scratch *s, struct task_struct *task)
{
	u32 level = pid_level(task);
	put_s64(s, group_id(task, PIDTYPE_SID, level));
	put_s64(s, pid_number(READ(task, thread_pid), level));
	put_s64(s, group_id(task, PIDTYPE_TGID, level));
	put_u64(s, pidns_init_start(task));
}

// The kernel names what it runs by a descriptor only for an execveat with one.
static __always_inline bool ran_descriptor(struct linux_binprm *program)
{
	return bpf_core_field_exists(program->fdpath) && READ(program, fdpath);
}

SEC("tp_btf/sched_process_exec")
int sched_process_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct linux_binprm *program = (void *)ctx[2];
	struct scratch *s = scratch_of(PROGRAM_EXEC);
	struct text *t = text_of(PROGRAM_EXEC);
	bool at = ran_descriptor(program);
	if (!s || !t)
		return 0;
	exec_begin(s, at, task);
	put_s64(s, 0);
	put_command_line(s, t, task, 0);
	put_exec_params(s, t, task, 0);
	if (!at)
		put_text(s, READ(program, filename));
	put_exec_extensions(s, task);
	send_rare(s, CLASS_EXEC);
	return 0;
}

static __always_inline const void *argument(u64 argv, u32 index, bool compat)
{
	u64 pointer = 0;
	bpf_probe_read_user(&pointer, compat ? 4 : 8, (void *)(argv + index * (compat ? 4 : 8)));
	return (void *)pointer;
}

// exe and args as the caller gave them.
static __always_inline void put_requested_command_line(struct scratch *s, u64 argv, bool compat)
{
	put_user_text(s, argument(argv, 0, compat));
	u64 at = record_at(s), end = at + TEXT_MAX;
	for (u32 i = 1; i < ARGUMENTS_MAX; i++) {
		const void *from = argument(argv, i, compat);
		if (!from)
			break;
		if (at > RECORD_LIMIT || at >= end)
			break;
		long len = bpf_probe_read_user_str(s->bytes + at, TEXT_MAX, from);
		if (len <= 0)
			break;
		at += len;
	}
	put_length(s, at > end ? TEXT_MAX : at - (end - TEXT_MAX));
}

// A failed call: what was asked for, by the process as it still is.
static __always_inline void exec_failed(struct scratch *s, struct text *t, struct task_struct *task, s64 result)
{
	struct call_context *c = &s->call;
	bool at = c->call == CALL_EXECVEAT;
	if (result >= 0)
		return;
	exec_begin(s, at, task);
	put_s64(s, result);
	put_requested_command_line(s, at ? c->args[2] : c->args[1], c->compat);
	put_exec_params(s, t, task, 0);
	if (!at)
		put_path_text(s, (void *)c->args[0]);
	put_exec_extensions(s, task);
	send_bulk(s, CLASS_EXEC_FAILED);
}
