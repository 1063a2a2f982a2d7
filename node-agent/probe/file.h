// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// What events tell of a file.
#pragma once
#include "path.h"

enum { OVERLAYFS_MAGIC = 0x794c7630, SB_RDONLY = 1, MNT_READONLY = 0x40, S_IMMUTABLE = 8 };
enum { S_IFMT = 0170000, S_IFSOCK = 0140000, S_IWUSR = 0200, S_IWGRP = 0020, S_IWOTH = 0002 };
enum { CAP_DAC_OVERRIDE = 1 << 1, AT_FDCWD = -100 };
enum layer { LAYER_NONE, LAYER_UPPER, LAYER_LOWER };

// Since kernel 6.13 the highest bit of the nanoseconds says that somebody asked for the time.
#define CTIME_QUERIED (1u << 31)
#define NANOSECONDS(seconds, rest) ((u64)(seconds) * 1000000000 + (rest))

static __always_inline u64 inode_ctime(struct inode *inode)
{
	struct inode___split *split = (void *)inode;
	struct inode___hidden *hidden = (void *)inode;
	struct inode___plain *plain = (void *)inode;
	if (bpf_core_field_exists(split->i_ctime_sec))
		return NANOSECONDS(READ(split, i_ctime_sec), READ(split, i_ctime_nsec) & ~CTIME_QUERIED);
	if (bpf_core_field_exists(hidden->__i_ctime))
		return NANOSECONDS(READ(hidden, __i_ctime.tv_sec), READ(hidden, __i_ctime.tv_nsec));
	return NANOSECONDS(READ(plain, i_ctime.tv_sec), READ(plain, i_ctime.tv_nsec));
}

static __always_inline u64 inode_mtime(struct inode *inode)
{
	struct inode___split *split = (void *)inode;
	struct inode___hidden *hidden = (void *)inode;
	struct inode___plain *plain = (void *)inode;
	if (bpf_core_field_exists(split->i_mtime_sec))
		return NANOSECONDS(READ(split, i_mtime_sec), READ(split, i_mtime_nsec));
	if (bpf_core_field_exists(hidden->__i_mtime))
		return NANOSECONDS(READ(hidden, __i_mtime.tv_sec), READ(hidden, __i_mtime.tv_nsec));
	return NANOSECONDS(READ(plain, i_mtime.tv_sec), READ(plain, i_mtime.tv_nsec));
}

// The device number in the layout that stat(2) shows.
static __always_inline u32 file_device(struct file *file)
{
	u32 device = READ(file, f_inode, i_sb, s_dev), major = device >> 20, minor = device & 0xfffff;
	return (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
}

// Where an overlay file lies. The overlay's own inode begins with the general one; the pointer behind it is
// the dentry in the upper layer.
static __always_inline enum layer file_layer(struct file *file)
{
	struct inode *inode = READ(file, f_path.dentry, d_inode);
	void *upper = 0;
	if (READ(inode, i_sb, s_magic) != OVERLAYFS_MAGIC)
		return LAYER_NONE;
	bpf_probe_read_kernel(&upper, sizeof(upper), (void *)inode + bpf_core_type_size(struct inode));
	return upper ? LAYER_UPPER : LAYER_LOWER;
}

// The file behind a descriptor of the current process.
static __always_inline struct file *file_of(struct task_struct *task, u32 fd)
{
	struct fdtable *table = fd_table();
	if (fd >= (knows_task() ? table->max_fds : BPF_CORE_READ(table, max_fds)))
		return 0;
	return pointer_at((knows_task() ? table->fd : BPF_CORE_READ(table, fd)) + fd);
}

static __always_inline bool mode_lets_write(struct inode *inode, const struct cred *cred)
{
	u16 mode = READ(inode, i_mode);
	u64 capabilities = 0;
	bpf_core_read(&capabilities, sizeof(capabilities), &cred->cap_effective);
	if (capabilities & CAP_DAC_OVERRIDE)
		return 1;
	if (READ(inode, i_uid.val) == READ(cred, fsuid.val))
		return mode & S_IWUSR;
	if (READ(inode, i_gid.val) == READ(cred, fsgid.val))
		return mode & S_IWGRP;
	return mode & S_IWOTH;
}

// Access lists and security modules are not asked.
static __always_inline bool file_writable(struct file *file, const struct cred *cred)
{
	struct inode *inode = READ(file, f_inode);
	bool fixed = READ(inode, i_flags) & S_IMMUTABLE || READ(inode, i_sb, s_flags) & SB_RDONLY ||
		     READ(file, f_path.mnt, mnt_flags) & MNT_READONLY;
	return !fixed && mode_lets_write(inode, cred);
}

// A memory file has no directory and a name that the kernel chose the start of.
static __always_inline bool file_is_memfd(struct file *file)
{
	struct dentry *dentry = READ(file, f_path.dentry);
	char name[6] = {};
	bpf_probe_read_kernel(name, sizeof(name), READ(dentry, d_name.name));
	bool named = name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' && name[4] == 'd' && name[5] == ':';
	return named && READ(dentry, d_parent) == dentry;
}

// Table execve_flags.
static __always_inline u32 exe_flags(struct file *exe, const struct cred *cred)
{
	enum layer layer = file_layer(exe);
	u32 flags = file_writable(exe, cred) ? 1 : 0;
	if (layer == LAYER_UPPER)
		flags |= 2;
	if (file_is_memfd(exe))
		flags |= 4;
	if (layer == LAYER_LOWER)
		flags |= 8;
	return flags;
}
