// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// open, creat, openat, openat2 at their exit.
#pragma once
#include "filter.h"
#include "registers.h"
#include "ring.h"

enum { EVENT_OPEN = 3, EVENT_CREAT = 59, EVENT_OPENAT = 307, EVENT_OPENAT2 = 327 };
enum { FMODE_CREATED = 0x100000, O_ACCMODE = 3 };
enum { FLAG_CREAT = 4, FLAG_TMPFILE = 1 << 13, FLAG_CREATED = 1 << 14, FLAG_UPPER = 1 << 15, FLAG_LOWER = 1 << 16 };

// Kernel flags whose number is the same everywhere, and their flag in the event (table file_flags).
#define FILE_FLAGS(FLAG)                                                                             \
	FLAG(0100, FLAG_CREAT) FLAG(0200, 32) /* EXCL */ FLAG(01000, 256) /* TRUNC */ FLAG(02000, 8) /* APPEND */ \
	FLAG(04000, 64) /* NONBLOCK */ FLAG(010000, 16) /* DSYNC */ FLAG(02000000, 4096) /* CLOEXEC */ \
	FLAG(04000000, 128) /* SYNC */ FLAG(020000000, FLAG_TMPFILE)
#define FILE_FLAGS_X86(FLAG) \
	FLAG(040000, 512) /* DIRECT */ FLAG(0100000, 2048) /* LARGEFILE */ FLAG(0200000, 1024) /* DIRECTORY */
#define FILE_FLAGS_ARM64(FLAG) \
	FLAG(0200000, 512) /* DIRECT */ FLAG(0400000, 2048) /* LARGEFILE */ FLAG(040000, 1024) /* DIRECTORY */

// Table openat2_flags.
#define RESOLVE_FLAGS(FLAG) FLAG(1, 16) FLAG(2, 4) FLAG(4, 8) FLAG(8, 1) FLAG(16, 2) FLAG(32, 32)

#define TRANSLATE(from, to) \
	if (kernel & from)  \
		flags |= to;

static __always_inline u32 file_flags(u64 kernel)
{
	u32 flags = (kernel & 3) == 1 ? 2 : (kernel & 3) == 2 ? 3 : 1;
	FILE_FLAGS(TRANSLATE)
	if (on_x86()) {
		FILE_FLAGS_X86(TRANSLATE)
	} else {
		FILE_FLAGS_ARM64(TRANSLATE)
	}
	return flags;
}

static __always_inline u32 resolve_flags(u64 kernel)
{
	u32 flags = 0;
	RESOLVE_FLAGS(TRANSLATE)
	return flags;
}
#undef TRANSLATE

enum { KIND_READ = 1, KIND_WRITE = 2, KIND_DIRECTORY = 4, KIND_SUCCESS = 8, FLAG_DIRECTORY = 1024 };

// The flags that the filter tells apart: the lowest two of the event's are those for reading and writing.
static __always_inline u32 open_kind(u64 kernel, bool success)
{
	u32 flags = file_flags(kernel);
	return (flags & 3) | (flags & FLAG_DIRECTORY ? KIND_DIRECTORY : 0) | (success ? KIND_SUCCESS : 0);
}

// A call in the shape of openat2.
struct open_call {
	u64 flags, mode, resolve; // the order of the kernel's struct open_how
	s64 dirfd;
	const void *name;
	struct file *file; // of a successful call
};

// Returns 0 if they could not be read.
static __always_inline bool open_arguments(struct open_call *o, struct scratch *s)
{
	struct call_context *c = &s->call;
	long error = 0;
	bool at = c->call == CALL_OPENAT || c->call == CALL_OPENAT2;
	o->dirfd = at ? (s32)c->args[0] : AT_FDCWD;
	o->name = (void *)(at ? c->args[1] : c->args[0]);
	o->flags = at ? c->args[2] : c->args[1];
	o->mode = at ? c->args[3] : c->args[2];
	if (c->call == CALL_CREAT) {
		o->mode = c->args[1];
		o->flags = 01101; // O_CREAT | O_WRONLY | O_TRUNC
	}
	if (c->call == CALL_OPENAT2)
		error = read_given(s, o, 3 * sizeof(u64), (void *)c->args[2]);
	o->flags = (u32)o->flags;
	return !error;
}

// How the file was opened is in the caller's memory for openat2, and may have changed; the file knows it.
static __always_inline void open_result(struct open_call *o, struct task_struct *task, struct call_context *c, s64 result)
{
	struct file *file = c->file ? (void *)c->file : result >= 0 ? file_of(task, result) : 0;
	o->file = file;
	if (file && c->call == CALL_OPENAT2)
		o->flags = (o->flags & ~(u64)O_ACCMODE) | (READ(file, f_flags) & O_ACCMODE);
}

static __always_inline u32 open_flags(struct open_call *o)
{
	u32 flags = file_flags(o->flags);
	struct file *file = o->file;
	enum layer layer = file ? file_layer(file) : LAYER_NONE;
	if (file && READ(file, f_mode) & FMODE_CREATED)
		flags |= FLAG_CREATED;
	return flags | (layer == LAYER_UPPER ? FLAG_UPPER : layer == LAYER_LOWER ? FLAG_LOWER : 0);
}

static __always_inline u32 open_mode(struct open_call *o)
{
	return file_flags(o->flags) & (FLAG_CREAT | FLAG_TMPFILE) ? o->mode & 07777 : 0;
}

static __always_inline void put_device_and_inode(struct scratch *s, struct open_call *o)
{
	struct file *file = o->file;
	put_u32(s, file ? file_device(file) : 0);
	put_u64(s, file ? READ(file, f_inode, i_ino) : 0);
}

// The directory that a relative name starts from.
static __always_inline struct place start_of(struct task_struct *task, struct open_call *o)
{
	if (o->dirfd == AT_FDCWD)
		return PLACE_OF(task, fs, pwd);
	struct file *directory = file_of(task, o->dirfd);
	return directory ? PLACE_OF(directory, f_path) : (struct place){};
}

// resolved: the path of what was really opened. dirpath: of the directory that a relative name starts from.
static __always_inline void put_open_extensions(struct scratch *s, struct text *t, struct open_call *o,
						struct task_struct *task, u8 first)
{
	put_file_path(s, t, task, o->file);
	if (first && first != '/')
		put_path(s, t, task, start_of(task, o));
	else
		put_empty(s);
}

// The name is among the first parameters: it begins within the first 256 bytes.
static __always_inline u8 put_name(struct scratch *s, struct open_call *o)
{
	u32 at = s->at;
	put_given_text(s, o->name);
	return s->at > at ? s->bytes[at & 0xff] : 0;
}

// fd, [dirfd,] name, flags, mode, [resolve,] dev, ino, resolved, dirpath.
static __always_inline void open_exit(struct scratch *s, struct text *t, struct task_struct *task, s64 result)
{
	struct call_context *c = &s->call;
	bool two = c->call == CALL_OPENAT2, at = two || c->call == CALL_OPENAT;
	u16 code = two ? EVENT_OPENAT2 : at ? EVENT_OPENAT : EVENT_OPEN;
	struct open_call o = {};
	record_begin(s, code, two ? 10 : at ? 9 : 8, task);
	open_arguments(&o, s);
	open_result(&o, task, c, result);
	put_s64(s, result);
	if (at)
		put_s64(s, o.dirfd);
	u8 first = put_name(s, &o);
	put_u32(s, open_flags(&o));
	put_u32(s, open_mode(&o));
	if (two)
		put_u32(s, resolve_flags(o.resolve));
	put_device_and_inode(s, &o);
	put_open_extensions(s, t, &o, task, first);
	send_bulk(s, CLASS_OPEN);
}

// fd, name, mode, dev, ino, creat_flags, resolved, dirpath.
static __always_inline void creat_exit(struct scratch *s, struct text *t, struct task_struct *task, s64 result)
{
	struct call_context *c = &s->call;
	struct open_call o = {};
	record_begin(s, EVENT_CREAT, 8, task);
	open_arguments(&o, s);
	open_result(&o, task, c, result);
	put_s64(s, result);
	u8 first = put_name(s, &o);
	put_u32(s, o.mode & 07777);
	put_device_and_inode(s, &o);
	put_u16(s, (open_flags(&o) >> 15) & 3); // table creat_flags: the same layers, other numbers
	put_open_extensions(s, t, &o, task, first);
	send_bulk(s, CLASS_OPEN);
}

// Whether no rule can match. Where the filter only marks, the record carries the answer.
static __always_inline bool open_rejected(struct scratch *s, struct text *t, struct task_struct *task)
{
	s64 result = s->call.result;
	u32 mode = filter_mode();
	struct open_call o = {};
	s->rejected = 0;
	if (!mode)
		return 0;
	if (!open_arguments(&o, s))
		return 0;
	if (s->call.call == CALL_OPENAT2)
		open_result(&o, task, &s->call, result);
	s->asked = (struct open_asked){o.name, open_kind(o.flags, result >= 0)};
	if (filter_open(s, t, task, mode & FILTER_SLOT))
		return 0;
	count_filtered(CLASS_OPEN);
	s->rejected = !!(mode & FILTER_MARK);
	return mode & FILTER_DROP;
}
