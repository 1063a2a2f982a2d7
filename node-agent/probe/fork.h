// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// A new process or thread, told as the child sees it (result 0).
#pragma once
#include "cgroup.h"
#include "process.h"
#include "registers.h"
#include "ring.h"

enum { EVENT_CLONE = 223, EVENT_FORK = 225, EVENT_VFORK = 227, EVENT_CLONE3 = 335, FORK_PARAMS = 21 };

// Kernel flag, flag in the event (table clone_flags).
#define CLONE_FLAGS(FLAG)                                                                             \
	FLAG(0x00000400, 1) /* FILES */ FLAG(0x00000200, 2) /* FS */ FLAG(0x80000000, 4) /* IO */      \
	FLAG(0x08000000, 8) /* NEWIPC */ FLAG(0x40000000, 16) /* NEWNET */ FLAG(0x00020000, 32) /* NEWNS */ \
	FLAG(0x20000000, 64) /* NEWPID */ FLAG(0x04000000, 128) /* NEWUTS */ FLAG(0x00008000, 256) /* PARENT */ \
	FLAG(0x00100000, 512) /* PARENT_SETTID */ FLAG(0x00002000, 1024) /* PTRACE */                  \
	FLAG(0x00000800, 2048) /* SIGHAND */ FLAG(0x00040000, 4096) /* SYSVSEM */                      \
	FLAG(0x00010000, 8192) /* THREAD */ FLAG(0x00800000, 16384) /* UNTRACED */ FLAG(0x00000100, 32768) /* VM */ \
	FLAG(0x10000000, 1 << 20) /* NEWUSER */ FLAG(0x00200000, 1 << 23) /* CHILD_CLEARTID */         \
	FLAG(0x01000000, 1 << 24) /* CHILD_SETTID */ FLAG(0x00080000, 1 << 25) /* SETTLS */            \
	FLAG(0x00004000, 1 << 27) /* VFORK */ FLAG(0x02000000, 1 << 28) /* NEWCGROUP */

enum { FLAG_FILES = 1, FLAG_FS = 2, FLAG_THREAD = 8192, FLAG_VM = 32768, FLAG_VFORK = 1 << 27 };
enum { FLAG_CHILD_IN_PIDNS = 1 << 29 };

static __always_inline u32 clone_flags(u64 kernel)
{
	u32 flags = 0;
#define TRANSLATE(from, to) \
	if (kernel & from) \
		flags |= to;
	CLONE_FLAGS(TRANSLATE)
#undef TRANSLATE
	return flags;
}

static __always_inline u32 requested_flags(struct call_context *c)
{
	u64 kernel = 0;
	if (c->call == CALL_CLONE)
		return clone_flags(c->args[0]);
	if (c->call == CALL_VFORK)
		return FLAG_VFORK | FLAG_VM;
	if (c->call == CALL_CLONE3)
		bpf_probe_read_user(&kernel, sizeof(kernel), (void *)c->args[0]);
	return clone_flags(kernel);
}

// What the tasks really share.
static __always_inline u32 true_flags(struct task_struct *parent, struct task_struct *child)
{
	u32 flags = 0;
	if (READ(parent, files) == READ(child, files))
		flags |= FLAG_FILES;
	if (READ(parent, fs) == READ(child, fs))
		flags |= FLAG_FS;
	if (READ(parent, tgid) == READ(child, tgid))
		flags |= FLAG_THREAD;
	if (READ(parent, mm) == READ(child, mm))
		flags |= FLAG_VM;
	if (pid_level(child))
		flags |= FLAG_CHILD_IN_PIDNS;
	return flags;
}

static __always_inline u32 fork_flags(struct call_context *c, struct task_struct *parent, struct task_struct *child)
{
	const u32 sharing = FLAG_FILES | FLAG_FS | FLAG_THREAD | FLAG_VM;
	return (requested_flags(c) & ~sharing) | true_flags(parent, child);
}

// Kernels before 5.15 cannot tell the call: it is then a clone.
static __always_inline void fork_call(struct call_context *c, struct task_struct *parent)
{
	c->call = CALL_CLONE;
	c->args[0] = 0;
	if (!bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs))
		return;
	struct pt_regs *regs = (void *)bpf_task_pt_regs(parent);
	c->compat = is_compat(parent);
	c->call = call_number(regs, c->compat);
	call_arguments(c, regs);
}

static __always_inline u16 fork_code(s32 call)
{
	switch (call) {
	case CALL_FORK: return EVENT_FORK;
	case CALL_VFORK: return EVENT_VFORK;
	case CALL_CLONE3: return EVENT_CLONE3;
	default: return EVENT_CLONE;
	}
}

static __always_inline void put_fork_params(struct scratch *s, struct text *t, struct task_struct *parent,
					    struct task_struct *child)
{
	u32 level = pid_level(child);
	put_s64(s, 0);
	put_command_line(s, t, parent, 0); // the child has a copy, which cannot be read yet
	put_process(s, t, child);
	put_cgroups(s, t, child);
	put_u32(s, fork_flags(&s->call, parent, child));
	put_u32(s, READ(child, cred, euid.val));
	put_u32(s, READ(child, cred, egid.val));
	put_s64(s, pid_number(READ(child, thread_pid), level));
	put_s64(s, group_id(child, PIDTYPE_TGID, level));
	put_u64(s, pidns_init_start(child));
}

SEC("tp_btf/sched_process_fork")
int sched_process_fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	struct scratch *s = scratch_of(PROGRAM_FORK);
	struct text *t = text_of(PROGRAM_FORK);
	if (!s || !t || is_kernel_thread(child))
		return 0;
	if (READ(child, tgid) == agent_tgid) {
		send_marker(s, &rare, LANE_RARE, HOOK_FORK, child);
		return 0;
	}
	fork_call(&s->call, parent);
	record_begin(s, fork_code(s->call.call), FORK_PARAMS, child);
	put_fork_params(s, t, parent, child);
	send_rare(s, CLASS_FORK);
	return 0;
}
