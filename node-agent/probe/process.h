// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// What process events tell of a task.
#pragma once
#include "path.h"

enum { PIDTYPE_TGID = 1, PIDTYPE_PGID = 2, PIDTYPE_SID = 3 };
enum { RLIMIT_NOFILE = 7, NOBODY = 0xffffffff, PF_KTHREAD = 0x00200000 };

static __always_inline bool is_kernel_thread(struct task_struct *task)
{
	return READ(task, flags) & PF_KTHREAD;
}

static __always_inline u32 pid_level(struct task_struct *task)
{
	return READ(task, thread_pid, level);
}

// What a pid is in the namespace of that level.
static __always_inline struct upid *pid_at(struct pid *pid, u32 level)
{
	return (void *)pid + bpf_core_field_offset(struct pid, numbers) + (level & 63) * bpf_core_type_size(struct upid);
}

static __always_inline int pid_number(struct pid *pid, u32 level)
{
	struct upid *number = pid_at(pid, level);
	return READ(number, nr);
}

// The id of the group of this type, in the task's pid namespace of that level; 0 if the group is of another.
static __always_inline s64 group_id(struct task_struct *task, int type, u32 level)
{
	struct pid **pids = (void *)READ(task, signal) + bpf_core_field_offset(struct signal_struct, pids);
	struct pid *group = pointer_at(pids + type);
	struct upid *own = pid_at(READ(task, thread_pid), level), *its = pid_at(group, level);
	if (READ(group, level) < level || READ(its, ns) != READ(own, ns))
		return 0;
	return READ(its, nr);
}

// The init process of the task's pid namespace.
static __always_inline struct task_struct *init_of(struct task_struct *task)
{
	struct upid *own = pid_at(READ(task, thread_pid), pid_level(task));
	return READ(own, ns, child_reaper);
}

static __always_inline u64 pidns_init_start(struct task_struct *task)
{
	struct task_struct *init = init_of(task);
	return READ(init, start_boottime);
}

// Copies from the user memory of `task`: the current one, or any other if the program may sleep.
static __always_inline long read_user(void *to, u64 len, unsigned long from, struct task_struct *task, bool sleepable)
{
	if (sleepable)
		return bpf_copy_from_user_task(to, len, (void *)from, task, 0);
	return bpf_probe_read_user(to, len, (void *)from);
}

// Fills the text from user memory, with a NUL behind it. Returns its length, 0 if the memory is not there.
static __always_inline u64 text_load(struct scratch *s, struct text *t, struct task_struct *task, unsigned long from,
				     unsigned long to, bool sleepable)
{
	u64 len = to - from;
	OPAQUE(len);
	if (len > TEXT_MAX) {
		s->truncated = 1;
		len = TEXT_MAX;
	}
	if (read_user(t->bytes, len, from, task, sleepable))
		len = 0;
	t->bytes[len] = 0;
	return len;
}

// exe: argv[0]. args: the other arguments, each with its NUL.
static __always_inline void put_command_line(struct scratch *s, struct text *t, struct task_struct *task,
					    bool sleepable)
{
	unsigned long from = READ(task, mm, arg_start), to = READ(task, mm, arg_end);
	u64 len = text_load(s, t, task, from, to, sleepable), before = s->at;
	put_text(s, t->bytes);
	u64 exe = s->at - before;
	OPAQUE(exe);
	if (exe > TEXT_MAX)
		return put_empty(s);
	if (exe >= len)
		return put_empty(s);
	put_bytes(s, &t->bytes[exe], len - exe);
}

static __always_inline void put_environment(struct scratch *s, struct text *t, struct task_struct *task, bool sleepable)
{
	unsigned long from = READ(task, mm, env_start), to = READ(task, mm, env_end);
	u64 len = text_load(s, t, task, from, to, sleepable);
	put_bytes(s, t->bytes, len);
}

static __always_inline u32 rss_pages(struct mm_struct *mm, u32 kind)
{
	s64 pages = 0;
	void *from = (void *)mm;
	if (bpf_core_field_exists(struct mm_struct___percpu, rss_stat))
		from += bpf_core_field_offset(struct mm_struct___percpu, rss_stat) +
			kind * bpf_core_type_size(struct percpu_counter) +
			bpf_core_field_offset(struct percpu_counter, count);
	else
		from += bpf_core_field_offset(struct mm_struct___plain, rss_stat) + kind * sizeof(pages);
	bpf_probe_read_kernel(&pages, sizeof(pages), from);
	return pages > 0 ? pages : 0;
}

enum { MM_FILEPAGES, MM_ANONPAGES, MM_SWAPENTS, MM_SHMEMPAGES };

enum { MEMORY_SIZE, MEMORY_RESIDENT, MEMORY_SWAPPED };

// In KiB. Since kernel 6.2 the sizes of a young process lag behind: each CPU keeps a part of the sum.
static __always_inline u32 memory_kib(struct mm_struct *mm, u32 which)
{
	if (which == MEMORY_SIZE)
		return READ(mm, total_vm) * page_kib;
	if (which == MEMORY_SWAPPED)
		return rss_pages(mm, MM_SWAPENTS) * page_kib;
	u32 mapped = rss_pages(mm, MM_FILEPAGES) + rss_pages(mm, MM_SHMEMPAGES);
	return (mapped + rss_pages(mm, MM_ANONPAGES)) * page_kib;
}

// Page faults and memory sizes.
static __always_inline void put_memory(struct scratch *s, struct task_struct *task)
{
	struct mm_struct *mm = READ(task, mm);
	put_u64(s, READ(task, maj_flt));
	put_u64(s, READ(task, min_flt));
	put_u32(s, memory_kib(mm, MEMORY_SIZE));
	put_u32(s, memory_kib(mm, MEMORY_RESIDENT));
	put_u32(s, memory_kib(mm, MEMORY_SWAPPED));
}

static __always_inline void put_comm(struct scratch *s, struct task_struct *task)
{
	char comm[16];
	BPF_CORE_READ_STR_INTO(&comm, task, comm);
	put_text(s, comm);
}

static __always_inline u32 tty_number(struct task_struct *task)
{
	struct tty_struct *tty = READ(task, signal, tty);
	if (!tty)
		return 0;
	u32 major = READ(tty, driver, major);
	u32 minor = READ(tty, driver, minor_start) + READ(tty, index);
	return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

static __always_inline u32 login_uid(struct task_struct *task)
{
	return bpf_core_field_exists(task->loginuid) ? READ(task, loginuid.val) : NOBODY;
}

// Parameters 3 to 13 of every fork and exec event: tid, pid, ptid, cwd, fdlimit, pgft_maj, pgft_min, vm_size,
// vm_rss, vm_swap, comm.
static __always_inline void put_process(struct scratch *s, struct text *t, struct task_struct *task)
{
	put_s64(s, READ(task, pid));
	put_s64(s, READ(task, tgid));
	put_s64(s, READ(task, real_parent, tgid)); // the process, whichever of its threads forked
	put_path(s, t, task, PLACE_OF(task, fs, pwd));
	put_u64(s, READ(task, signal, rlim[RLIMIT_NOFILE].rlim_cur));
	put_memory(s, task);
	put_comm(s, task);
}
