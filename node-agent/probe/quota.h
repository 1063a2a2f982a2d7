// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// What quotactl is asked and says: which of its parameters mean something depends on its command.
#pragma once
#include "recipe.h"

// The kernel's commands, without the kind of quota that stands in the low byte of the same register.
enum {
	Q_QUOTAON = 0x800002,
	Q_GETFMT = 0x800004,
	Q_GETINFO = 0x800005,
	Q_SETINFO = 0x800006,
	Q_GETQUOTA = 0x800007,
	Q_SETQUOTA = 0x800008,
	Q_XGETQUOTA = 0x5803,
	Q_XSETQLIM = 0x5804,
};

enum quota {
	QUOTA_COMMAND,
	QUOTA_KIND,
	QUOTA_ID,
	QUOTA_FORMAT,
	QUOTA_FORMAT_TOLD,
	QUOTA_FILE,
	QUOTA_BLOCK_GRACE,
	QUOTA_INODE_GRACE,
	QUOTA_GRACE_FLAGS,
	QUOTA_LIMITS = 16, // and the place of a member of struct if_dqblk
};

// Which members mean something, as bits.
enum { GRACE_FLAGS = 16, GRACE_VALID = 20, LIMITS_VALID = 64 };
enum { HAS_BLOCK_LIMITS = 1, HAS_SPACE = 2, HAS_INODE_LIMITS = 4, HAS_BLOCK_TIME = 16, HAS_INODE_TIME = 32 };
enum { HAS_BLOCK_GRACE = 1, HAS_INODE_GRACE = 2, HAS_GRACE_FLAGS = 4 };

static __always_inline bool quota_has_id(u32 command)
{
	return command == Q_GETQUOTA || command == Q_SETQUOTA || command == Q_XGETQUOTA || command == Q_XSETQLIM;
}

static __always_inline u64 quota_grace(u64 info, u32 at, u32 size, u32 bit)
{
	return from_memory((void *)info + GRACE_VALID, 4) & bit ? from_memory((void *)info + at, size) : 0;
}

// By the member: both limits of blocks, space, both limits of inodes, inodes, both times.
static __always_inline u64 quota_limit(u64 block, u32 member)
{
	u32 valid = from_memory((void *)block + LIMITS_VALID, 4);
	u32 bit = member < 2	? HAS_BLOCK_LIMITS
		  : member == 2 ? HAS_SPACE
		  : member < 5	? HAS_INODE_LIMITS
		  : member == 6 ? HAS_BLOCK_TIME
				: HAS_INODE_TIME;
	return valid & bit ? from_memory((void *)block + member * sizeof(u64), sizeof(u64)) : 0;
}

static __always_inline u64 quota_value(struct scratch *s, u32 which)
{
	u32 command = (u32)s->call.args[0] >> 8, id = s->call.args[2];
	u64 there = s->call.args[3];
	bool limits = command == Q_GETQUOTA || command == Q_SETQUOTA, grace = command == Q_GETINFO || command == Q_SETINFO;
	switch (which) {
	case QUOTA_COMMAND: return command;
	case QUOTA_KIND: return (u8)s->call.args[0];
	case QUOTA_ID: return quota_has_id(command) ? id : 0;
	case QUOTA_FORMAT: return command == Q_QUOTAON ? id : 0;
	case QUOTA_FORMAT_TOLD: return command == Q_GETFMT ? from_memory((void *)there, 4) : 0;
	case QUOTA_FILE: return command == Q_QUOTAON ? there : 0;
	case QUOTA_GRACE_FLAGS: return grace ? quota_grace(there, GRACE_FLAGS, 4, HAS_GRACE_FLAGS) : 0;
	case QUOTA_BLOCK_GRACE: return grace ? quota_grace(there, 0, 8, HAS_BLOCK_GRACE) : 0;
	case QUOTA_INODE_GRACE: return grace ? quota_grace(there, 8, 8, HAS_INODE_GRACE) : 0;
	default: return limits ? quota_limit(there, which - QUOTA_LIMITS) : 0;
	}
}

// By itself, so that the verifier checks it once.
__noinline int take_quota(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (s && w)
		w->value = quota_value(s, w->param.with);
	return 0;
}
