// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The table that says how the events of calls are made, and what its rows are made with. User space fills it
// (src/recipe.rs).
#pragma once
#include "facts.h"
#include "names.h"
#include "open.h"

// Where the value of a parameter comes from.
enum from {
	FROM_RESULT,
	FROM_ARG,      // a register
	FROM_INT,      // the low half of a register, with its sign
	FROM_MEMORY,   // `table` bytes at a register + `with`; all bits if the register is 0
	FROM_OPTIONAL, // the same; 0 if the register is 0
	FROM_TIME,     // seconds and nanoseconds at a register, in nanoseconds; all bits if the register is 0
	FROM_OPTION,   // a register, as the option of prctl has it: 0 for the address of a name
	FROM_STRUCT,   // a pointer or long at a register + `with`, half as far and large for 32-bit callers
	FROM_CONSTANT, // `with`
	FROM_NUMBER,   // the machine's number of the call
	FROM_MADE,     // a descriptor at a register + `with` that the call made; all bits if it failed
	FROM_SOCKET_OPTION, // the option of a socket, as events number it
	FROM_QUOTA,    // of quotactl, by `with`: enum quota
};

// How the value is stored.
enum put {
	PUT_EMPTY,
	PUT_NUMBER,       // `size` bytes
	PUT_FLAGS,        // the same, each bit through the translation `table`
	PUT_ENUM,         // the same, as a whole
	PUT_TEXT,         // the value is its address
	PUT_BYTES,        // likewise; register `with` is the length, or the result if there is no such register
	PUT_VECTOR,       // likewise, of an iovec: the first part; with `table` no more of it than the result
	PUT_CONTROL,      // likewise, of a msghdr: what came with the message
	PUT_NAME,         // likewise, a text if the option of prctl is about a name
	PUT_SIZE,         // likewise, its size; register `with` has the number of parts, or the message
	PUT_ADDRESS,      // the socket address there; register `with` is its size
	PUT_PEER,         // no parameter: keeps that address for the tuple
	PUT_MESSAGE_PEER, // no parameter: keeps the address of the msghdr there
	PUT_TUPLE_OUT,    // both ends of the socket, the process's own first
	PUT_TUPLE_IN,     // the other way round
	PUT_QUEUE,        // of a listening socket, by `with`: how full in percent, how long, how long at most
	PUT_INODE,        // of a descriptor
	PUT_FACTS,        // what the descriptor stands for
	PUT_DIRECTORY,    // path of a directory's descriptor, if the text at register `with` is relative
	PUT_DYNAMIC,      // the byte `table`, then the number
	PUT_CAPABILITIES, // of the process, by `with`: inheritable, permitted, effective
	PUT_KIB,          // memory of the process, by `with`: enum of process.h
	PUT_DEVICE,       // of a descriptor
	PUT_PATH,         // of a descriptor
	PUT_OPEN_FLAGS,   // as in the events of the open family
	PUT_WORKING_DIRECTORY, // if the text at register `with` is relative
	PUT_OPTION,       // the value of a socket's option, in its own type; the value here is its size
	PUT_POLLED,       // the descriptors at the address, each with what happened to it
	PUT_POLLED_FACTS, // what these stand for
	PUT_SOCK,         // where the kernel has the socket of a descriptor
	PUT_SOCK_PEER,    // where it has the socket at its other end
	PUT_CLOSED,       // what the descriptor stood for that the call closed
};

struct param {
	u8 from;
	u8 arg;
	u8 put;
	u8 size;
	u16 with;
	u16 table;
};

enum { PARAMS_MADE = 20, TRANSLATIONS = 32, PAIRS = 40, PARTS_MAX = 16, DATA_MAX = 80, ARGS = 6 };
enum { MESSAGE_PARTS = 24, MESSAGE_CONTROL = 32, SOCKADDR_IN = 16 };
enum { PR_SET_NAME = 15, PR_GET_NAME = 16, PR_GET_CHILD_SUBREAPER = 37 };

struct recipe {
	u16 code;
	u16 nparams; // of the record
	u16 made;    // rows below; some make no parameter
	u16 unused;
	struct param param[PARAMS_MADE];
};

struct pair {
	u32 kernel, event;
};

struct translation {
	struct pair pairs[PAIRS];
};

// A parameter on its way; in a map, where the verifier forgets values.
struct work {
	struct param param;
	u64 value;
	struct address peer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CALLS);
	__type(key, u32);
	__type(value, struct recipe);
} recipes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TRANSLATIONS);
	__type(key, u32);
	__type(value, struct translation);
} translations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROGRAMS);
	__type(key, u32);
	__type(value, struct work);
} works SEC(".maps");

static __always_inline struct work *work_of(u32 program)
{
	return bpf_map_lookup_elem(&works, &program);
}

static __always_inline u64 argument_at(struct scratch *s, u32 arg)
{
	OPAQUE(arg);
	return arg < ARGS ? s->call.args[arg] : 0;
}

static __always_inline u64 from_memory(const void *from, u64 size)
{
	u64 value = 0;
	OPAQUE(size);
	if (size > sizeof(value))
		size = sizeof(value);
	bpf_probe_read_user(&value, size, from);
	return value;
}

// A member of a structure of pointers and longs.
static __always_inline u64 from_struct(struct scratch *s, u64 base, u32 offset)
{
	bool compat = s->call.compat;
	return from_memory((void *)(base + (compat ? offset / 2 : offset)), compat ? 4 : 8);
}

static __always_inline void put_number(struct scratch *s, u64 value, u32 size)
{
	switch (size) {
	case 1: return put_u8(s, value);
	case 2: return put_u16(s, value);
	case 4: return put_u32(s, value);
	default: return put_u64(s, value);
	}
}

static __always_inline void put_data(struct scratch *s, const void *from, s64 len)
{
	u64 at = record_at(s), bytes = len;
	if (at > RECORD_LIMIT || len <= 0)
		return put_empty(s);
	OPAQUE(bytes);
	if (bytes > DATA_MAX)
		bytes = DATA_MAX;
	if (bpf_probe_read_user(s->bytes + at, bytes, from))
		return put_empty(s);
	put_length(s, bytes);
}
