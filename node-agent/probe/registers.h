// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The number and the arguments of a system call, from the registers saved at its entry, on x86_64 and arm64,
// for 64-bit and 32-bit callers.
#pragma once
#include "task.h"

static __always_inline bool on_x86(void)
{
	return bpf_core_field_exists(struct pt_regs___x86, orig_ax);
}

static __always_inline bool is_compat(struct task_struct *task)
{
	struct task_struct___x86 *x86 = (void *)task;
	if (on_x86())
		return (knows_task() ? x86->thread_info.status : BPF_CORE_READ(x86, thread_info.status)) & 2; // TS_COMPAT
	return READ(task, thread_info.flags) & (1 << 22); // TIF_32BIT
}

static __always_inline int native_number(struct pt_regs *regs)
{
	struct pt_regs___x86 *x86 = (void *)regs;
	struct pt_regs___arm64 *arm64 = (void *)regs;
	return on_x86() ? x86->orig_ax : (u64)arm64->syscallno;
}

// Looks up a number that is not one of x86_64.
static __always_inline s32 call_of(u32 table, u32 number)
{
	struct numbers *n = bpf_map_lookup_elem(&numbers, &table);
	OPAQUE(number);
	if (!n || number >= CALLS || n->calls[number] == NO_CALL)
		return CALL_NONE;
	return n->calls[number];
}

// The x32 interface sets bit 30 and numbers a few calls anew.
static __always_inline s32 call_of_x86(int number)
{
	if (!(number & 0x40000000))
		return number;
	number &= ~0x40000000;
	return number == 520 ? CALL_EXECVE : number == 545 ? CALL_EXECVEAT : number;
}

static __always_inline s32 call_number(struct pt_regs *regs, bool compat)
{
	int number = native_number(regs);
	if (compat)
		return call_of(NUMBERS_COMPAT, number);
	return on_x86() ? call_of_x86(number) : call_of(NUMBERS_NATIVE, number);
}

static __always_inline bool is_open(s32 call)
{
	return call == CALL_OPEN || call == CALL_OPENAT || call == CALL_OPENAT2 || call == CALL_CREAT;
}

static __always_inline void arguments_x86(struct call_context *c, struct pt_regs *regs)
{
	struct pt_regs___x86 *r = (void *)regs;
	c->args[0] = r->di;
	c->args[1] = r->si;
	c->args[2] = r->dx;
	c->args[3] = r->r10;
	c->args[4] = r->r8;
	c->args[5] = r->r9;
}

static __always_inline void arguments_i386(struct call_context *c, struct pt_regs *regs)
{
	struct pt_regs___x86 *r = (void *)regs;
	c->args[0] = (u32)r->bx;
	c->args[1] = (u32)r->cx;
	c->args[2] = (u32)r->dx;
	c->args[3] = (u32)r->si;
	c->args[4] = (u32)r->di;
	c->args[5] = (u32)r->bp;
}

static __always_inline void arguments_arm64(struct call_context *c, struct pt_regs *regs)
{
	struct pt_regs___arm64 *r = (void *)regs;
	c->args[0] = r->orig_x0;
	c->args[1] = r->regs[1];
	c->args[2] = r->regs[2];
	c->args[3] = r->regs[3];
	c->args[4] = r->regs[4];
	c->args[5] = r->regs[5];
}

// i386 puts the arguments of all socket calls into memory.
static __always_inline void socketcall(struct call_context *c)
{
	u32 args[6] = {};
	c->call = call_of(NUMBERS_SOCKETCALL, c->args[0]);
	bpf_probe_read_user(args, sizeof(args), (void *)c->args[1]);
	for (int i = 0; i < 6; i++)
		c->args[i] = args[i];
}

// 32-bit callers on arm64 use the same registers.
static __always_inline void compat_arguments(struct call_context *c, struct pt_regs *regs)
{
	if (on_x86()) {
		arguments_i386(c, regs);
	} else {
		arguments_arm64(c, regs);
		for (int i = 0; i < 6; i++)
			c->args[i] = (u32)c->args[i];
	}
	if (c->call == CALL_SOCKETCALL)
		socketcall(c);
}

static __always_inline void call_arguments(struct call_context *c, struct pt_regs *regs)
{
	if (c->compat)
		compat_arguments(c, regs);
	else if (on_x86())
		arguments_x86(c, regs);
	else
		arguments_arm64(c, regs);
}

static __always_inline bool is_wanted(s32 call)
{
	u32 zero = 0;
	struct wanted *w = bpf_map_lookup_elem(&syscalls, &zero);
	u64 word = (u32)call / 64;
	OPAQUE(word);
	if (!w || word >= CALLS / 64)
		return 0;
	return (w->bits[word] >> ((u32)call % 64)) & 1;
}
