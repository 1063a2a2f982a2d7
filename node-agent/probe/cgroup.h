// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The cgroups of a task as `SUBSYSTEM=PATH` texts.
#pragma once
#include "path.h"

#define CGROUP_DEPTH_MAX 32

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___hidden *now = (void *)node;
	struct kernfs_node___plain *before = (void *)node;
	return bpf_core_field_exists(now->__parent) ? READ(now, __parent) : READ(before, parent);
}

// Builds the path of the text's node. The root's own name is empty. Names wait behind the text until their length is
// known. Returns whether it is whole.
static __always_inline bool cgroup_path(struct text *t)
{
	struct kernfs_node *node = t->node, *parent = kernfs_parent(node);
	text_begin(t);
	for (int i = 0; i < CGROUP_DEPTH_MAX && parent; i++) {
		u8 *name = &t->bytes[TEXT_MAX];
		long len = bpf_probe_read_kernel_str(name, NAME_BYTES, READ(node, name));
		if (len <= 0 || !path_prepend(t, name, len - 1))
			return 0;
		node = parent;
		parent = kernfs_parent(node);
	}
	if (t->start == TEXT_END)
		text_prepend_slash(t);
	return !parent;
}

// On the unified hierarchy a controller that is not enabled that deep belongs to a cgroup further up; the
// task's own one is `dfl_cgrp`.
static __always_inline struct kernfs_node *cgroup_node(struct css_set *set, u32 id)
{
	struct cgroup_subsys_state **states = (void *)set + bpf_core_field_offset(struct css_set, subsys);
	struct cgroup_subsys_state *state = pointer_at(states + (id & 63));
	struct cgroup *group = READ(state, cgroup), *unified = READ(set, dfl_cgrp);
	if (group && READ(group, root) == READ(unified, root))
		group = unified;
	return READ(group, kn);
}

// Finds the node that the subsystem of this number has in the text's set, and builds its path. Those of the unified
// hierarchy have one node, whose path is built once. Returns 0 if there is none. Not static: see path_build.
__noinline int cgroup_build(u32 program, u32 id)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct text *t = text_of(program);
	if (!s || !t)
		return 0;
	struct kernfs_node *node = cgroup_node(t->cgroups, id);
	bool built = node == t->node;
	if (!node)
		return 0;
	t->node = node;
	if (!built && !cgroup_path(t))
		s->truncated = 1;
	return 1;
}

static __always_inline u64 append_built_text(struct scratch *s, struct text *t, u64 at)
{
	u32 start = t->start & TEXT_END, len = TEXT_MAX - start;
	OPAQUE(at);
	if (at <= RECORD_LIMIT && !bpf_probe_read_kernel(s->bytes + at, len, &t->bytes[start]))
		return at + len;
	s->truncated = 1;
	return at;
}

static __always_inline u64 append_cgroup(struct scratch *s, struct text *t, u64 at, u32 id, const char *name, u32 name_len)
{
	if (at > RECORD_LIMIT || !cgroup_build(s->program, id))
		return at;
	__builtin_memcpy(s->bytes + at, name, name_len);
	return append_built_text(s, t, at + name_len);
}

#define APPEND_CGROUP(subsystem)                                                                       \
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, subsystem##_cgrp_id))                    \
	at = append_cgroup(s, t, at, bpf_core_enum_value(enum cgroup_subsys_id, subsystem##_cgrp_id), \
			   #subsystem "=", sizeof(#subsystem "=") - 1)

// The five subsystems that container engines have always used.
static __always_inline void put_cgroups(struct scratch *s, struct text *t, struct task_struct *task)
{
	u64 at = record_at(s), from = at;
	t->cgroups = READ(task, cgroups);
	t->node = 0;
	APPEND_CGROUP(cpuset);
	APPEND_CGROUP(cpu);
	APPEND_CGROUP(cpuacct);
	APPEND_CGROUP(io);
	APPEND_CGROUP(memory);
	put_length(s, at - from);
}
