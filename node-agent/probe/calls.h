// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Calls whose events are made by a table: for each parameter, which value it has and how that is stored. User
// space fills the table (src/recipe.rs), so that a call costs a row and no program.
#pragma once
#include "closing.h"
#include "polled.h"
#include "quota.h"
#include "socket_option.h"

static __always_inline u64 from_time(struct scratch *s, u64 arg)
{
	return arg ? from_struct(s, arg, 0) * 1000000000 + from_struct(s, arg, 8) : -1;
}

static __always_inline bool is_about_name(u64 option)
{
	return option == PR_SET_NAME || option == PR_GET_NAME;
}

static __always_inline u64 from_option(struct scratch *s, u64 arg)
{
	u64 option = argument_at(s, 0);
	if (option == PR_GET_CHILD_SUBREAPER)
		return from_memory((void *)arg, sizeof(u32));
	return is_about_name(option) ? 0 : arg;
}

static __always_inline u64 param_value(struct scratch *s, struct param *param)
{
	u64 arg = argument_at(s, param->arg);
	switch (param->from) {
	case FROM_RESULT: return s->call.result;
	case FROM_ARG: return arg;
	case FROM_INT: return (s64)(s32)arg;
	case FROM_MEMORY: return arg ? from_memory((void *)(arg + param->with), param->table) : -1;
	case FROM_OPTIONAL: return arg ? from_memory((void *)(arg + param->with), param->table) : 0;
	case FROM_TIME: return from_time(s, arg);
	case FROM_OPTION: return from_option(s, arg);
	case FROM_STRUCT: return from_struct(s, arg, param->with);
	case FROM_NUMBER: return s->call.number;
	case FROM_MADE: return s->call.result < 0 ? -1 : (s64)(s32)from_memory((void *)(arg + param->with), 4);
	case FROM_SOCKET_OPTION: return socket_option(s);
	default: return param->with;
	}
}

// Unknown bits and numbers become 0.
static __always_inline u32 translate(u32 table, u32 value, bool whole)
{
	struct translation *t = bpf_map_lookup_elem(&translations, &table);
	u32 result = 0;
	for (int i = 0; i < PAIRS && t; i++) {
		u32 kernel = t->pairs[i].kernel;
		if (whole ? value == kernel : kernel && (value & kernel) == kernel)
			result |= t->pairs[i].event;
	}
	return result;
}

__noinline int put_translated(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (s && w)
		put_number(s, translate(w->param.table, w->value, w->param.put == PUT_ENUM), w->param.size);
	return 0;
}

static __always_inline s64 data_length(struct scratch *s, struct param *param)
{
	s64 result = s->call.result;
	return param->with < ARGS ? argument_at(s, param->with) : result;
}

// The address of a structure member is halved with the pointers of 32-bit callers.
static __always_inline void put_vector_size(struct scratch *s, struct work *w)
{
	u64 size = 0, step = s->call.compat ? 8 : 16;
	bool message = w->param.from == FROM_STRUCT;
	u64 parts = message ? from_struct(s, argument_at(s, w->param.arg), MESSAGE_PARTS) : argument_at(s, w->param.with);
	for (u32 i = 0; i < PARTS_MAX; i++) {
		if (i >= parts)
			break;
		size += from_struct(s, w->value + i * step, 8);
	}
	put_u32(s, size);
}

static __always_inline void put_vector(struct scratch *s, struct work *w)
{
	s64 len = from_struct(s, w->value, 8), result = s->call.result;
	if (w->param.table && len > result)
		len = result;
	put_data(s, (void *)from_struct(s, w->value, 0), len);
}

static __always_inline void put_control(struct scratch *s, u64 message)
{
	if (s->call.result < 0)
		return put_empty(s);
	put_data(s, (void *)from_struct(s, message, MESSAGE_CONTROL), from_struct(s, message, MESSAGE_CONTROL + 8));
}

static __always_inline void put_option_name(struct scratch *s, u64 from)
{
	if (!is_about_name(argument_at(s, 0)))
		return put_empty(s);
	put_path_text(s, (void *)from);
}

__noinline int put_memory_of(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	switch (w->param.put) {
	case PUT_TEXT: put_path_text(s, (void *)w->value); break;
	case PUT_BYTES: put_data(s, (void *)w->value, data_length(s, &w->param)); break;
	case PUT_VECTOR: put_vector(s, w); break;
	case PUT_CONTROL: put_control(s, w->value); break;
	case PUT_NAME: put_option_name(s, w->value); break;
	case PUT_SIZE: put_vector_size(s, w); break;
	case PUT_ADDRESS: put_address(s, (void *)w->value, (u32)argument_at(s, w->param.with)); break;
	}
	return 0;
}

// Without a length as much as can be read.
static __always_inline void keep_peer(struct work *w, u64 from, u64 len)
{
	__builtin_memset(&w->peer, 0, sizeof(w->peer));
	OPAQUE(len);
	if (len > sizeof(w->peer) - 1)
		len = sizeof(w->peer) - 1;
	if (from && len >= sizeof(w->peer.family) && bpf_probe_read_user(&w->peer, len, (void *)from))
		bpf_probe_read_user(&w->peer, SOCKADDR_IN, (void *)from);
}

// No parameter is made: the next tuple has this end.
__noinline int keep_peer_of(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	if (w->param.put == PUT_MESSAGE_PEER)
		keep_peer(w, from_struct(s, w->value, 0), (u32)from_struct(s, w->value, 8));
	else
		keep_peer(w, w->value, w->param.with < ARGS ? (u32)argument_at(s, w->param.with) : sizeof(w->peer));
	return 0;
}

static __always_inline void put_queue(struct scratch *s, struct sock *sk, u32 which)
{
	u32 len = READ(sk, sk_ack_backlog), most = READ(sk, sk_max_ack_backlog);
	if (which == 0)
		return put_u8(s, most ? (u64)len * 100 / most : 0);
	put_u32(s, which == 1 ? len : most);
}

__noinline int put_socket_of(u32 program)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	struct sock *sk = w->param.from == FROM_RESULT ? socket_of(task, w->value) : call_socket(s, task, w->value);
	switch (w->param.put) {
	case PUT_QUEUE: put_queue(s, sk, w->param.with); break;
	case PUT_SOCK: put_u64(s, (u64)sk); break;
	case PUT_SOCK_PEER: put_u64(s, (u64)unix_peer(sk)); break;
	default: put_flow(s, sk, &w->peer, w->param.put == PUT_TUPLE_IN);
	}
	return 0;
}

static __always_inline bool is_relative(struct scratch *s, u32 arg)
{
	u8 first = 0;
	read_given(s, &first, 1, (void *)argument_at(s, arg));
	return first && first != '/';
}

static __always_inline void put_directory(struct scratch *s, struct work *w, struct task_struct *task)
{
	struct text *t = text_of(s->program);
	if (!t || !is_relative(s, w->param.with))
		return put_empty(s);
	if (w->param.put == PUT_WORKING_DIRECTORY || (s32)w->value == AT_FDCWD)
		return put_path(s, t, task, PLACE_OF(task, fs, pwd));
	put_file_path(s, t, task, file_of(task, w->value));
}

__noinline int put_path_of(u32 program)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	struct text *t = text_of(program);
	if (!s || !w || !t)
		return 0;
	if (w->param.put == PUT_PATH)
		put_file_path(s, t, task, file_of(task, w->value));
	else
		put_directory(s, w, task);
	return 0;
}

static __always_inline u64 capabilities(const struct cred *cred, u32 which)
{
	u64 set = 0;
	if (which == 0)
		bpf_core_read(&set, sizeof(set), &cred->cap_inheritable);
	else if (which == 1)
		bpf_core_read(&set, sizeof(set), &cred->cap_permitted);
	else
		bpf_core_read(&set, sizeof(set), &cred->cap_effective);
	return set;
}

__noinline int put_kernel_of(u32 program)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	struct file *file = file_of(task, w->value);
	switch (w->param.put) {
	case PUT_INODE: put_u64(s, READ(file, f_inode, i_ino)); break;
	case PUT_DEVICE: put_u32(s, file ? file_device(file) : 0); break;
	case PUT_CAPABILITIES: put_u64(s, capabilities(READ(task, cred), w->param.with)); break;
	case PUT_KIB: put_u32(s, memory_kib(READ(task, mm), w->param.with)); break;
	case PUT_OPEN_FLAGS: put_u32(s, file_flags((u32)w->value)); break;
	}
	return 0;
}

static __always_inline void put_dynamic(struct scratch *s, struct work *w)
{
	u32 from = s->at;
	put_u8(s, w->param.table);
	s->index--;
	put_number(s, w->value, w->param.size);
	join_from(s, from);
}

static __always_inline void put_param(struct scratch *s, struct work *w)
{
	switch (w->param.put) {
	case PUT_EMPTY: put_empty(s); return;
	case PUT_NUMBER: put_number(s, w->value, w->param.size); return;
	case PUT_DYNAMIC: put_dynamic(s, w); return;
	case PUT_FLAGS:
	case PUT_ENUM: put_translated(s->program); return;
	case PUT_PEER:
	case PUT_MESSAGE_PEER: keep_peer_of(s->program); return;
	case PUT_TUPLE_OUT:
	case PUT_TUPLE_IN:
	case PUT_SOCK:
	case PUT_SOCK_PEER:
	case PUT_QUEUE: put_socket_of(s->program); return;
	case PUT_INODE:
	case PUT_DEVICE:
	case PUT_CAPABILITIES:
	case PUT_KIB:
	case PUT_OPEN_FLAGS: put_kernel_of(s->program); return;
	case PUT_PATH:
	case PUT_DIRECTORY:
	case PUT_WORKING_DIRECTORY: put_path_of(s->program); return;
	case PUT_FACTS: put_facts(s->program, w->value); return;
	case PUT_CLOSED: put_closed(s->program); return;
	case PUT_OPTION: put_socket_option(s->program); return;
	case PUT_POLLED: put_polled(s->program); return;
	case PUT_POLLED_FACTS: put_polled_facts(s->program); return;
	default: put_memory_of(s->program); return;
	}
}

static __always_inline bool is_param(struct param *param)
{
	return param->put != PUT_PEER && param->put != PUT_MESSAGE_PEER;
}

// The second half of a record has what only the end of the request tells.
static __always_inline bool is_told_before(struct scratch *s, struct param *param)
{
	bool tuple = param->put == PUT_TUPLE_OUT || param->put == PUT_TUPLE_IN;
	bool filled = (param->put == PUT_BYTES && param->with >= ARGS) || (param->put == PUT_VECTOR && param->table);
	bool returned = param->from == FROM_RESULT || param->put == PUT_CONTROL || filled;
	return s->half == RECORD_LAST_HALF && !returned && !(tuple && s->call.file);
}

// One parameter of the record that `program` builds.
__noinline int make_param(u32 program)
{
	struct scratch *s = bpf_map_lookup_elem(&scratches, &program);
	struct work *w = work_of(program);
	if (!s || !w)
		return 0;
	if (is_told_before(s, &w->param)) {
		if (is_param(&w->param))
			put_empty(s);
		return 0;
	}
	if (w->param.from == FROM_QUOTA)
		take_quota(program);
	else
		w->value = param_value(s, &w->param);
	put_param(s, w);
	return 0;
}

static __always_inline void described_exit(struct scratch *s, struct task_struct *task, s64 result)
{
	u32 call = s->call.call;
	struct recipe *recipe = bpf_map_lookup_elem(&recipes, &call);
	struct work *w = work_of(s->program);
	if (!recipe || !w || !recipe->code)
		return;
	s->call.result = result;
	w->peer.family = 0;
	record_begin(s, recipe->code, recipe->nparams, task);
	for (u32 i = 0; i < PARAMS_MADE; i++) {
		if (i >= recipe->made)
			break;
		w->param = recipe->param[i];
		make_param(s->program);
	}
	send_bulk(s, CLASS_CALL);
}
