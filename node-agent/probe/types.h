// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// The parts of the kernel's types that the probe reads. Only names and nesting matter: every offset is
// relocated against the running kernel's BTF. A name after `___` is a flavour: the same kernel type with the
// fields of another architecture or kernel version, used behind bpf_core_field_exists.
#pragma once

typedef unsigned char __u8, u8;
typedef unsigned short __u16, u16, __be16;
typedef unsigned int __u32, u32, __be32, __wsum;
typedef unsigned long long __u64, u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32, s32;
typedef long long __s64, s64;
typedef _Bool bool;

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

// Numbers of the kernel's user interface (linux/bpf.h).
enum {
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_RB_NO_WAKEUP = 1,
	BPF_RB_FORCE_WAKEUP = 2,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct pt_regs {
	u64 unused;
};

struct pt_regs___x86 {
	u64 bp, bx, r10, r9, r8, ax, cx, dx, si, di, orig_ax;
};

struct pt_regs___arm64 {
	u64 regs[31];
	u64 orig_x0;
	s32 syscallno;
};

struct thread_info {
	unsigned long flags;
};

struct thread_info___x86 {
	u32 status;
};

struct kuid {
	u32 val;
};

struct qstr {
	u32 len;
	const u8 *name;
};

struct super_block {
	u32 s_dev;
	unsigned long s_flags;
	unsigned long s_magic;
};

struct timespec64 {
	s64 tv_sec;
	long tv_nsec;
};

struct inode {
	u16 i_mode;
	struct kuid i_uid;
	struct kuid i_gid;
	u32 i_flags;
	struct super_block *i_sb;
	unsigned long i_ino;
};

// Since kernel 6.11.
struct inode___split {
	s64 i_mtime_sec, i_ctime_sec;
	u32 i_mtime_nsec, i_ctime_nsec;
};

// Kernels 6.6 (ctime) and 6.7 (mtime) to 6.10.
struct inode___hidden {
	struct timespec64 __i_mtime, __i_ctime;
};

struct inode___plain {
	struct timespec64 i_mtime, i_ctime;
};

struct dentry {
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

union shortname_store {
	u64 words[5];
};

// Since kernel 6.14; before, an array of bytes.
struct dentry___short {
	union shortname_store d_shortname;
};

struct vfsmount {
	struct dentry *mnt_root;
	int mnt_flags;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	u32 f_mode, f_flags;
	void *private_data;
	struct inode *f_inode;
	struct path f_path;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fs_struct {
	struct path root, pwd;
};

struct percpu_counter {
	s64 count;
};

struct mm_struct {
	unsigned long total_vm, arg_start, arg_end, env_start, env_end;
	struct file *exe_file;
};

// Since kernel 6.2; before, an array of numbers inside a struct.
struct mm_struct___percpu {
	struct percpu_counter rss_stat[4];
};

struct mm_rss_stat {
	int unused;
};

struct mm_struct___plain {
	struct mm_rss_stat rss_stat;
};

// Eight bytes: one u64 since kernel 6.3, before two u32, low half first.
struct kernel_cap {
	u32 low;
};

struct cred {
	struct kuid euid, egid, fsuid, fsgid;
	struct kernel_cap cap_inheritable, cap_permitted, cap_effective;
};

struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

struct task_struct;

struct pid_namespace {
	struct task_struct *child_reaper;
};

struct tty_driver {
	int major, minor_start;
};

struct tty_struct {
	int index;
	struct tty_driver *driver;
};

struct rlimit {
	unsigned long rlim_cur;
};

struct list_head {
	struct list_head *next;
};

struct signal_struct {
	struct { int counter; } live;
	struct list_head thread_head;
	u32 is_child_subreaper : 1;
	u32 has_child_subreaper : 1;
	struct pid *pids[4];
	struct tty_struct *tty;
	struct rlimit rlim[16];
};

struct kernfs_node {
	const char *name;
};

// Since kernel 6.15.
struct kernfs_node___hidden {
	struct kernfs_node *__parent;
};

struct kernfs_node___plain {
	struct kernfs_node *parent;
};

struct cgroup_root;

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

enum cgroup_subsys_id {
	cpuset_cgrp_id,
	cpu_cgrp_id,
	cpuacct_cgrp_id,
	io_cgrp_id,
	memory_cgrp_id,
};

// Since kernel 5.15.
enum bpf_func_id {
	BPF_FUNC_get_current_task_btf = 158, // 5.11
	BPF_FUNC_task_pt_regs = 175,
};

struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	struct mm_struct *mm;
	int exit_code;
	int pid, tgid;
	struct task_struct *real_parent, *group_leader;
	struct list_head children, thread_node;
	struct pid *thread_pid;
	u64 start_boottime;
	unsigned long min_flt, maj_flt;
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct files_struct *files;
	struct signal_struct *signal;
	struct kuid loginuid;
	struct css_set *cgroups;
};

struct task_struct___x86 {
	struct thread_info___x86 thread_info;
};

struct linux_binprm {
	const char *filename;
	const char *fdpath;
};

struct in6_addr {
	union { u8 u6_addr8[16]; } in6_u;
};

struct sock_common {
	__be32 skc_daddr, skc_rcv_saddr;
	__be16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	u8 skc_state;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
	u32 sk_ack_backlog, sk_max_ack_backlog;
	u8 sk_userlocks : 4;
};

struct sockaddr_un {
	u16 sun_family;
	char sun_path[108];
};

struct unix_address {
	int len;
	struct sockaddr_un name[1];
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct socket {
	struct sock *sk;
};

// What a path call was given, in the kernel's own memory.
struct filename {
	const char *name, *uptr;
	const char iname[1];
};

struct kmem_cache {
	const char *name;
};

struct io_cqe {
	s32 res;
	s32 fd; // until the request ends
};

struct io_rsrc_node {
	unsigned long file_ptr; // its lowest bits are flags
};

struct io_rsrc_data {
	u32 nr;
	struct io_rsrc_node **nodes;
};

struct io_file_table {
	struct io_rsrc_data data;
};

struct io_ring_ctx {
	struct io_file_table file_table;
};

// A request of io_uring: what only its kind knows is laid over the beginning, see the structures behind it.
struct io_kiocb {
	struct file *file;
	u8 opcode;
	u64 flags;
	struct io_cqe cqe;
	struct io_ring_ctx *ctx;
	void *async_data;
};

struct open_how {
	u64 flags, mode, resolve;
};

struct io_open {
	int dfd;
	u32 file_slot;
	struct filename *filename;
	struct open_how how;
};

struct io_unlink {
	int dfd, flags;
	struct filename *filename;
};

struct io_mkdir {
	int dfd;
	u16 mode;
	struct filename *filename;
};

struct io_rename {
	int old_dfd, new_dfd, flags;
	struct filename *oldpath, *newpath;
};

// Also of a symbolic link.
struct io_link {
	int old_dfd, new_dfd, flags;
	struct filename *oldpath, *newpath;
};

struct io_sr_msg {
	void *buf;
	int len;
	u32 msg_flags;
};

struct io_connect {
	int addr_len;
};

struct io_accept {
	int flags;
};

struct io_socket {
	int domain, type, protocol;
};

struct sockaddr_storage {
	u16 family;
};

struct io_async_msghdr {
	struct sockaddr_storage addr;
};

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#pragma clang attribute pop
