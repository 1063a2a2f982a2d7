// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Requests of io_uring, told as the system calls they amount to. A request is seen twice: when it is submitted, by
// io_uring_enter or by the kernel's own thread, its paths are in kernel memory; when it ends, its result is known.
// User space joins the two halves.
#pragma once
#include "report.h"

// Numbers of the kernel's user interface (linux/io_uring.h).
enum uring_operation {
	URING_SENDMSG = 9,
	URING_RECVMSG = 10,
	URING_ACCEPT = 13,
	URING_CONNECT = 16,
	URING_OPENAT = 18,
	URING_SEND = 26,
	URING_RECV = 27,
	URING_OPENAT2 = 28,
	URING_RENAMEAT = 35,
	URING_UNLINKAT = 36,
	URING_MKDIRAT = 37,
	URING_SYMLINKAT = 38,
	URING_LINKAT = 39,
	URING_SOCKET = 45,
	URING_SEND_ZC = 47,
	URING_SENDMSG_ZC = 48,
};

enum { REQUEST_FIXED_FILE = 1 << 0, REQUEST_NO_COMPLETION = 1 << 6, ANY_SLOT = 0xffffffff };
// Stands for the result until there is one.
enum { NOT_YET = -EINPROGRESS };

static __always_inline s32 uring_call(u8 operation)
{
	switch (operation) {
	case URING_SENDMSG:
	case URING_SENDMSG_ZC: return CALL_SENDMSG;
	case URING_RECVMSG: return CALL_RECVMSG;
	case URING_ACCEPT: return CALL_ACCEPT4;
	case URING_CONNECT: return CALL_CONNECT;
	case URING_OPENAT: return CALL_OPENAT;
	case URING_SEND:
	case URING_SEND_ZC: return CALL_SENDTO;
	case URING_RECV: return CALL_RECVFROM;
	case URING_OPENAT2: return CALL_OPENAT2;
	case URING_RENAMEAT: return CALL_RENAMEAT2;
	case URING_UNLINKAT: return CALL_UNLINKAT;
	case URING_MKDIRAT: return CALL_MKDIRAT;
	case URING_SYMLINKAT: return CALL_SYMLINKAT;
	case URING_LINKAT: return CALL_LINKAT;
	case URING_SOCKET: return CALL_SOCKET;
	default: return CALL_NONE;
	}
}

#define SET_ARGUMENTS(c, a0, a1, a2, a3, a4) \
	(c)->args[0] = (a0), (c)->args[1] = (a1), (c)->args[2] = (a2), (c)->args[3] = (a3), (c)->args[4] = (a4)

// What the request's own structure has.
#define OF(type, field...) READ((struct type *)req, field)
// The kernel's copy of a path, which is gone when the request ends.
#define PATH_OF(type, field) (s->half == RECORD_LAST_HALF ? 0 : (u64)OF(type, field, name))

static __always_inline void open_request(struct scratch *s, struct io_kiocb *req)
{
	struct call_context *c = &s->call;
	SET_ARGUMENTS(c, OF(io_open, dfd), PATH_OF(io_open, filename), OF(io_open, how.flags), OF(io_open, how.mode), 0);
	if (c->call == CALL_OPENAT2)
		c->args[2] = (u64)req + bpf_core_field_offset(struct io_open, how);
}

// Calls whose only addresses are paths.
static __always_inline void path_request(struct scratch *s, struct io_kiocb *req)
{
	struct call_context *c = &s->call;
	c->kernel = 1;
	switch (c->call) {
	case CALL_OPENAT:
	case CALL_OPENAT2: open_request(s, req); break;
	case CALL_UNLINKAT:
		SET_ARGUMENTS(c, OF(io_unlink, dfd), PATH_OF(io_unlink, filename), OF(io_unlink, flags), 0, 0);
		break;
	case CALL_MKDIRAT:
		SET_ARGUMENTS(c, OF(io_mkdir, dfd), PATH_OF(io_mkdir, filename), OF(io_mkdir, mode), 0, 0);
		break;
	case CALL_SYMLINKAT:
		SET_ARGUMENTS(c, PATH_OF(io_link, oldpath), OF(io_link, new_dfd), PATH_OF(io_link, newpath), 0, 0);
		break;
	case CALL_LINKAT:
		SET_ARGUMENTS(c, OF(io_link, old_dfd), PATH_OF(io_link, oldpath), OF(io_link, new_dfd),
			      PATH_OF(io_link, newpath), OF(io_link, flags));
		break;
	case CALL_RENAMEAT2:
		SET_ARGUMENTS(c, OF(io_rename, old_dfd), PATH_OF(io_rename, oldpath), OF(io_rename, new_dfd),
			      PATH_OF(io_rename, newpath), OF(io_rename, flags));
		break;
	}
}

// A fixed file has no descriptor.
static __always_inline s32 request_fd(struct io_kiocb *req)
{
	return READ(req, flags) & REQUEST_FIXED_FILE ? -1 : READ(req, cqe.fd);
}

// The kernel's copy of a socket address: some versions keep it alone, others in a structure that begins with a pointer,
// which is never as odd as one of these families.
static __always_inline u64 copied_address(struct io_kiocb *req)
{
	void *copy = READ(req, async_data);
	u16 family = 0;
	if (!copy)
		return 0;
	bpf_probe_read_kernel(&family, sizeof(family), copy);
	if (family == AF_UNIX || family == AF_INET || family == AF_INET6)
		return (u64)copy;
	return (u64)copy + bpf_core_field_offset(struct io_async_msghdr, addr);
}

static __always_inline void connect_request(struct call_context *c, struct io_kiocb *req)
{
	c->kernel = 1;
	SET_ARGUMENTS(c, request_fd(req), copied_address(req), OF(io_connect, addr_len), 0, 0);
}

// Data and messages are in user memory.
static __always_inline void socket_request(struct scratch *s, struct io_kiocb *req)
{
	struct call_context *c = &s->call;
	s32 fd = request_fd(req);
	c->kernel = 0;
	switch (c->call) {
	case CALL_CONNECT: connect_request(c, req); break;
	case CALL_SOCKET:
		SET_ARGUMENTS(c, OF(io_socket, domain), OF(io_socket, type), OF(io_socket, protocol), 0, 0);
		break;
	case CALL_ACCEPT4: SET_ARGUMENTS(c, fd, 0, 0, OF(io_accept, flags), 0); break;
	case CALL_SENDMSG:
	case CALL_RECVMSG: SET_ARGUMENTS(c, fd, (u64)OF(io_sr_msg, buf), OF(io_sr_msg, msg_flags), 0, 0); break;
	case CALL_SENDTO:
	case CALL_RECVFROM:
		SET_ARGUMENTS(c, fd, (u64)OF(io_sr_msg, buf), OF(io_sr_msg, len), OF(io_sr_msg, msg_flags), 0);
		break;
	}
}

static __always_inline bool is_path_call(s32 call)
{
	return call == CALL_OPENAT || call == CALL_OPENAT2 || (call >= CALL_MKDIRAT && call <= CALL_SYMLINKAT) ||
	       call == CALL_RENAMEAT2;
}

// The file that an open put into the ring's own table instead of giving a descriptor.
static __always_inline struct file *file_in_slot(struct io_kiocb *req, u32 slot)
{
	struct io_ring_ctx *ring = READ(req, ctx);
	struct io_rsrc_node *node = 0;
	if (!bpf_core_field_exists(ring->file_table.data.nodes) || slot >= READ(ring, file_table.data.nr))
		return 0;
	bpf_probe_read_kernel(&node, sizeof(node), READ(ring, file_table.data.nodes) + slot);
	return (void *)(READ(node, file_ptr) & ~7ul);
}

// The file that the request is about, at its end.
static __always_inline struct file *request_file(struct io_kiocb *req, s32 call, s32 result)
{
	if (call == CALL_OPENAT || call == CALL_OPENAT2) {
		u32 slot = OF(io_open, file_slot);
		return slot && result >= 0 ? file_in_slot(req, slot == ANY_SLOT ? (u32)result : slot - 1) : 0;
	}
	return is_path_call(call) || call == CALL_SOCKET ? 0 : READ(req, file);
}

static __always_inline void request_begin(struct scratch *s, struct io_kiocb *req, s32 call)
{
	s->call.call = call;
	s->call.number = call;
	s->call.compat = 0;
	s->call.request = (u64)req;
	s->rejected = 0;
	if (is_path_call(call))
		path_request(s, req);
	else
		socket_request(s, req);
}

SEC("tp_btf/io_uring_submit_req")
int io_uring_submit_req(u64 *ctx)
{
	struct io_kiocb *req = (void *)ctx[0];
	s32 call = uring_call(READ(req, opcode));
	struct scratch *s = scratch_of(PROGRAM_URING_SUBMIT);
	if (!s || !is_wanted(call))
		return 0;
	bool alone = READ(req, flags) & REQUEST_NO_COMPLETION;
	s->half = RECORD_FIRST_HALF | (alone ? RECORD_MAY_BE_ALONE : 0);
	s->call.file = 0;
	request_begin(s, req, call);
	s->call.result = NOT_YET;
	return report(s);
}

SEC("tp_btf/io_uring_complete")
int io_uring_complete(u64 *ctx)
{
	struct io_kiocb *req = (void *)ctx[1];
	s32 call = uring_call(req ? READ(req, opcode) : 0);
	struct scratch *s = scratch_of(PROGRAM_URING_COMPLETE);
	if (!s || !is_wanted(call))
		return 0;
	s32 result = READ(req, cqe.res);
	s->half = RECORD_LAST_HALF;
	s->call.file = (u64)request_file(req, call, result);
	request_begin(s, req, call);
	s->call.result = result;
	return report(s);
}
