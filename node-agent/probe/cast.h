// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Reads kernel memory as if it were the program's own: one instruction, where BPF_CORE_READ calls a function that costs
// some 20 ns. Kernels since 6.2 have the function bpf_rdonly_cast for it.
#pragma once
#include "maps.h"

// Whether the kernel has it. The verifier knows the value, and drops the branches that are not taken.
volatile const u32 casts = 0;

// The call of a kernel function: user space (src/cast.rs) puts the function's number in place of the upper half.
#define CALL_RDONLY_CAST ".8byte 0x53414b5200002085"

static __always_inline const void *cast_to(u64 type, const void *from)
{
	const void *to;
	asm volatile("r1 = %1\n\tr2 = %2\n\t" CALL_RDONLY_CAST "\n\t%0 = r0"
		     : "=r"(to)
		     : "r"(from), "r"(type)
		     : "r0", "r1", "r2", "r3", "r4", "r5");
	return to;
}

#define CAST(type, from) ((const type *)cast_to(bpf_core_type_id_kernel(type), from))

// What is found by way of these members, as BPF_CORE_READ finds it.
#define READ(from, field...) \
	(casts ? ___arrow(CAST(typeof(*(from)), from), field) : BPF_CORE_READ(from, field))

// A pointer in memory, for which the kernel's type information has no word: to be read it passes for the beginning of a
// structure that begins with one.
static __always_inline void *pointer_at(const void *from)
{
	void *pointer = 0;
	if (casts)
		return CAST(struct list_head, from)->next;
	bpf_probe_read_kernel(&pointer, sizeof(pointer), from);
	return pointer;
}
