// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The maps the probe shares with user space.
#pragma once
#include "types.h"

// Rare: what keeps the process table true; its loss is worse. Bulk: everything else.
enum lane { LANE_RARE, LANE_BULK, LANES };

// What is counted apart.
enum class { CLASS_FORK, CLASS_EXEC, CLASS_EXIT, CLASS_EXEC_FAILED, CLASS_OPEN, CLASS_CONNECT, CLASS_CALL, CLASSES };

// Every program has scratch buffers of its own: a program never runs twice at once on one CPU, so nothing
// can overwrite a record while it is built.
enum program {
	PROGRAM_FORK,
	PROGRAM_EXEC,
	PROGRAM_EXIT,
	PROGRAM_SYS_EXIT,
	PROGRAM_SCAN,
	PROGRAM_URING_SUBMIT,
	PROGRAM_URING_COMPLETE,
	PROGRAM_NAMES,
	PROGRAM_CLOSING,
	PROGRAMS,
};

// Numbers of x86_64, used for every machine; calls that it lacks are numbered from the end.
enum call {
	CALL_NONE = -1,
	CALL_OPEN = 2,
	CALL_CLOSE = 3,
	CALL_SOCKET = 41,
	CALL_CONNECT = 42,
	CALL_SENDTO = 44,
	CALL_RECVFROM = 45,
	CALL_SENDMSG = 46,
	CALL_RECVMSG = 47,
	CALL_CLONE = 56,
	CALL_FORK = 57,
	CALL_VFORK = 58,
	CALL_EXECVE = 59,
	CALL_GETCWD = 79,
	CALL_RENAME = 82,
	CALL_CREAT = 85,
	CALL_LINK = 86,
	CALL_SYMLINK = 88,
	CALL_MARKER = 146, // sched_get_priority_max, by the agent itself
	CALL_OPENAT = 257,
	CALL_MKDIRAT = 258,
	CALL_UNLINKAT = 263,
	CALL_RENAMEAT = 264,
	CALL_LINKAT = 265,
	CALL_SYMLINKAT = 266,
	CALL_ACCEPT4 = 288,
	CALL_RENAMEAT2 = 316,
	CALL_EXECVEAT = 322,
	CALL_CLONE3 = 435,
	CALL_OPENAT2 = 437,
	CALL_SOCKETCALL = 575,
	CALLS = 576,
};

// Kept in a map because the verifier forgets the values of map memory: it then checks what follows once, not
// once per way to get here.
struct call_context {
	u64 args[6];
	s64 result;
	s32 call;
	u32 number; // the machine's own
	u32 compat; // a 32-bit caller
	u32 kernel; // addresses are of the kernel's own copies
	u64 file;    // what the descriptor stands for, if that is known already
	u64 request; // of io_uring
};

// Of an open, what the filter is asked about.
struct open_asked {
	const void *name;
	u64 kind;
};

// A value in a map, read there once more: for the verifier it is then any value.
#define ANEW(value) (*(volatile typeof(value) *)&(value))

#define TEXT_MAX 4096
// A per-CPU map value may have 32 KiB.
#define RECORD_BYTES (32768 - 24 - sizeof(struct call_context) - sizeof(struct open_asked))
// The last place where a parameter may begin, so that a text fits behind it.
#define RECORD_LIMIT (RECORD_BYTES - TEXT_MAX)
#define NAME_BYTES 256

// A record while it is built.
struct scratch {
	u32 at;        // where the next byte goes
	u32 index;     // of the next parameter
	u32 truncated; // something did not fit
	u32 program;   // whose it is
	u32 rejected;  // by the filter, which only marks
	u32 half;      // which half of a record in two parts, as flags
	struct call_context call;
	struct open_asked asked;
	u8 bytes[RECORD_BYTES];
};

// The kernel's struct path, but not relocated, so it may live on the stack and in maps.
struct place {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

// A text while it is built; paths grow from the end to the start. What it is built from is here because a function that
// the verifier checks by itself takes numbers only, and to it a pointer is one when it comes out of a map.
struct text {
	u32 start;
	u32 len; // if it is at the start of the bytes
	struct place at, root;
	struct dentry *top; // of the mount
	struct css_set *cgroups;
	struct kernfs_node *node; // whose path the text has
	u8 bytes[TEXT_MAX + NAME_BYTES];
};

struct counters {
	u64 seq[LANES];
	u64 events[CLASSES];
	u64 ring_full[CLASSES];
	u64 truncated[CLASSES];
	u64 filtered[CLASSES];
};

struct wanted {
	u64 bits[CALLS / 64];
	u64 families; // of socket: a bit for each address family that a rule may be about, the highest for all others
	u64 marks;    // whether others are reported all the same, as rejected
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROGRAMS);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PROGRAMS);
	__type(key, u32);
	__type(value, struct text);
} texts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counts SEC(".maps");

// The system calls to report, as a set of x86_64 numbers, whatever the machine; and which of their events.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct wanted);
} syscalls SEC(".maps");

// Which call a machine's number stands for; NO_CALL if none.
enum numbering { NUMBERS_NATIVE, NUMBERS_COMPAT, NUMBERS_SOCKETCALL, NUMBERS };
enum { NO_CALL = 0xffff };

struct numbers {
	u16 calls[CALLS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NUMBERS);
	__type(key, u32);
	__type(value, struct numbers);
} numbers SEC(".maps");

// Not 0 while the consumer sleeps and wants to be woken.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} sleeper SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} rare SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} bulk SEC(".maps");

// The agent's own process, whose events are not reported.
volatile const u32 agent_tgid = 0;
// KiB per page, to give memory sizes in KiB.
volatile const u32 page_kib = 4;
