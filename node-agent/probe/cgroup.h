// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The cgroups of a task as `SUBSYSTEM=PATH` texts.
#pragma once
#include "path.h"

#define CGROUP_DEPTH_MAX 32

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___hidden *now = (void *)node;
	struct kernfs_node___plain *before = (void *)node;
	return bpf_core_field_exists(now->__parent) ? BPF_CORE_READ(now, __parent) : BPF_CORE_READ(before, parent);
}

// The root's own name is empty. Names wait behind the text until their length is known.
// Returns whether it is whole.
__noinline int cgroup_path(u32 program, u64 start)
{
	struct kernfs_node *node = (void *)start, *parent = kernfs_parent(node);
	struct text *t = text_of(program);
	if (!t)
		return 0;
	text_begin(t);
	for (int i = 0; i < CGROUP_DEPTH_MAX && parent; i++) {
		u8 *name = &t->bytes[TEXT_MAX];
		long len = bpf_probe_read_kernel_str(name, NAME_BYTES, BPF_CORE_READ(node, name));
		if (len <= 0 || !path_prepend(t, name, len - 1))
			return 0;
		node = parent;
		parent = kernfs_parent(node);
	}
	if (t->start == TEXT_END)
		text_prepend_slash(t);
	return !parent;
}

static __always_inline u64 append(struct scratch *s, u64 at, const void *from, u32 len)
{
	if (at > RECORD_LIMIT || len > TEXT_MAX || bpf_probe_read_kernel(s->bytes + at, len, from)) {
		s->truncated = 1;
		return at;
	}
	return at + len;
}

// On the unified hierarchy a controller that is not enabled that deep belongs to a cgroup further up; the
// task's own one is `dfl_cgrp`.
static __always_inline struct kernfs_node *cgroup_node(struct css_set *set, u32 id)
{
	struct cgroup_subsys_state **states = (void *)set + bpf_core_field_offset(struct css_set, subsys);
	struct cgroup_subsys_state *state = 0;
	bpf_probe_read_kernel(&state, sizeof(state), states + (id & 63));
	struct cgroup *group = BPF_CORE_READ(state, cgroup), *unified = BPF_CORE_READ(set, dfl_cgrp);
	if (group && BPF_CORE_READ(group, root) == BPF_CORE_READ(unified, root))
		group = unified;
	return BPF_CORE_READ(group, kn);
}

static __always_inline u64 append_cgroup(struct scratch *s, struct text *t, struct css_set *set, u64 at, u32 id,
					 const char *name, u32 name_len)
{
	struct kernfs_node *node = cgroup_node(set, id);
	if (!node)
		return at;
	if (!cgroup_path(s->program, (u64)node))
		s->truncated = 1;
	u32 start = t->start & TEXT_END;
	at = append(s, at, name, name_len);
	return append(s, at, &t->bytes[start], TEXT_MAX - start);
}

#define APPEND_CGROUP(subsystem)                                                                       \
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, subsystem##_cgrp_id))                    \
	at = append_cgroup(s, t, set, at, bpf_core_enum_value(enum cgroup_subsys_id, subsystem##_cgrp_id), \
			   #subsystem "=", sizeof(#subsystem "=") - 1)

// The five subsystems that container engines have always used.
static __always_inline void put_cgroups(struct scratch *s, struct text *t, struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	u64 at = s->at;
	APPEND_CGROUP(cpuset);
	APPEND_CGROUP(cpu);
	APPEND_CGROUP(cpuacct);
	APPEND_CGROUP(io);
	APPEND_CGROUP(memory);
	put_length(s, at - s->at);
}
