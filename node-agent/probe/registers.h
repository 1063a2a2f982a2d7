// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The number and the arguments of a system call, from the registers saved at its entry, on x86_64 and arm64,
// for 64-bit and 32-bit callers.
#pragma once
#include "maps.h"

static __always_inline bool on_x86(void)
{
	return bpf_core_field_exists(struct pt_regs___x86, orig_ax);
}

static __always_inline bool is_compat(struct task_struct *task)
{
	struct thread_info___x86 *x86 = (void *)task + bpf_core_field_offset(struct task_struct, thread_info);
	if (on_x86())
		return BPF_CORE_READ(x86, status) & 2; // TS_COMPAT
	return BPF_CORE_READ(task, thread_info.flags) & (1 << 22); // TIF_32BIT
}

static __always_inline int native_number(struct pt_regs *regs)
{
	struct pt_regs___x86 *x86 = (void *)regs;
	struct pt_regs___arm64 *arm64 = (void *)regs;
	return on_x86() ? BPF_CORE_READ(x86, orig_ax) : (u64)BPF_CORE_READ(arm64, syscallno);
}

static __always_inline enum call call_of_i386(int number)
{
	switch (number) {
	case 2: return CALL_FORK;
	case 5: return CALL_OPEN;
	case 8: return CALL_CREAT;
	case 11: return CALL_EXECVE;
	case 102: return CALL_CONNECT; // socketcall; call_arguments looks which one
	case 120: return CALL_CLONE;
	case 190: return CALL_VFORK;
	case 295: return CALL_OPENAT;
	case 358: return CALL_EXECVEAT;
	case 362: return CALL_CONNECT;
	case 435: return CALL_CLONE3;
	case 437: return CALL_OPENAT2;
	default: return CALL_NONE;
	}
}

static __always_inline enum call call_of_arm(int number)
{
	switch (number) {
	case 2: return CALL_FORK;
	case 5: return CALL_OPEN;
	case 8: return CALL_CREAT;
	case 11: return CALL_EXECVE;
	case 120: return CALL_CLONE;
	case 190: return CALL_VFORK;
	case 283: return CALL_CONNECT;
	case 322: return CALL_OPENAT;
	case 387: return CALL_EXECVEAT;
	case 435: return CALL_CLONE3;
	case 437: return CALL_OPENAT2;
	default: return CALL_NONE;
	}
}

static __always_inline enum call call_of_arm64(int number)
{
	switch (number) {
	case 56: return CALL_OPENAT;
	case 203: return CALL_CONNECT;
	case 220: return CALL_CLONE;
	case 221: return CALL_EXECVE;
	case 281: return CALL_EXECVEAT;
	case 435: return CALL_CLONE3;
	case 437: return CALL_OPENAT2;
	default: return CALL_NONE;
	}
}

// The x32 interface sets bit 30 and numbers a few calls anew.
static __always_inline enum call call_of_x86(int number)
{
	if (!(number & 0x40000000))
		return number;
	number &= ~0x40000000;
	return number == 520 ? CALL_EXECVE : number == 545 ? CALL_EXECVEAT : number;
}

static __always_inline enum call call_number(struct pt_regs *regs, bool compat)
{
	int number = native_number(regs);
	if (on_x86())
		return compat ? call_of_i386(number) : call_of_x86(number);
	return compat ? call_of_arm(number) : call_of_arm64(number);
}

static __always_inline void arguments_x86(struct call_context *c, struct pt_regs *regs)
{
	struct pt_regs___x86 *r = (void *)regs;
	c->args[0] = c->compat ? BPF_CORE_READ(r, bx) : BPF_CORE_READ(r, di);
	c->args[1] = c->compat ? BPF_CORE_READ(r, cx) : BPF_CORE_READ(r, si);
	c->args[2] = BPF_CORE_READ(r, dx);
	c->args[3] = c->compat ? BPF_CORE_READ(r, si) : BPF_CORE_READ(r, r10);
	c->args[4] = c->compat ? BPF_CORE_READ(r, di) : BPF_CORE_READ(r, r8);
}

static __always_inline void arguments_arm64(struct call_context *c, struct pt_regs *regs)
{
	struct pt_regs___arm64 *r = (void *)regs;
	c->args[0] = BPF_CORE_READ(r, orig_x0);
	c->args[1] = BPF_CORE_READ(r, regs[1]);
	c->args[2] = BPF_CORE_READ(r, regs[2]);
	c->args[3] = BPF_CORE_READ(r, regs[3]);
	c->args[4] = BPF_CORE_READ(r, regs[4]);
}

// i386 puts the arguments of all socket calls into memory.
static __always_inline void socketcall(struct call_context *c)
{
	u32 args[3] = {};
	if (c->args[0] != 3 || bpf_probe_read_user(args, sizeof(args), (void *)c->args[1]))
		c->call = CALL_NONE;
	c->args[0] = args[0];
	c->args[1] = args[1];
	c->args[2] = args[2];
}

static __always_inline void call_arguments(struct call_context *c, struct pt_regs *regs)
{
	if (on_x86())
		arguments_x86(c, regs);
	else
		arguments_arm64(c, regs);
	if (!c->compat)
		return;
	for (int i = 0; i < 5; i++)
		c->args[i] = (u32)c->args[i];
	if (on_x86() && native_number(regs) == 102)
		socketcall(c);
}
