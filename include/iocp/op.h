/*
 * The operation: the block of memory that stands for one piece of I/O, the
 * OVERLAPPED of this library.
 *
 * The caller places it, usually inside an object of its own, and finds that
 * object again from packet.op. All zeroes is a valid idle operation. From
 * the moment a verb accepts it until its packet is taken, the operation and
 * every buffer, vector and structure given to the verb belong to the
 * library: neither write nor free them. One operation stands for one piece
 * of I/O at a time; afterwards it can be used again, for any verb.
 *
 * A verb returns
 *   0    the operation was accepted: exactly one packet will follow;
 *   1    it is done and no packet follows; only on a handle that was told
 *        to skip on success; the results are in the operation;
 *   < 0  it never began and no packet follows.
 */
#ifndef IOCP_OP_H
#define IOCP_OP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iocp_handle;
struct iocp_op;
struct iocp__verb;

/* In iocp_op.flags: the stream has ended, and bytes is 0. */
#define IOCP_OP_END 1u

/* The library's own link of a queue; nothing of it is the caller's. */
struct iocp__node {
    struct iocp__node *next, *prev;
    unsigned kind;
};

struct iocp_op {
    /* The results, valid once the packet was taken or a verb returned 1. */
    size_t bytes;                 /* transferred, also by one that failed */
    int status;                   /* 0 or a negative errno */
    unsigned flags;               /* IOCP_OP_END */
    struct iocp_handle *accepted; /* of iocp_accept() */

    /* The library's alone, from here to the end. */
    struct {
        struct iocp__node node;
        struct iocp_handle *handle, *origin;
        const struct iocp__verb *verb;
        uintptr_t key;
        int64_t timeout_ns;
        unsigned state;
        unsigned timer;
        int msg_flags;
        uintptr_t args[5];
        uintptr_t room[1];
    } own;
};

/* Make `op` idle; the same as filling it with zeroes. */
void iocp_op_init(struct iocp_op *op);

/*
 * Give every later start of `op` a deadline, counted from that start: an
 * operation still pending then completes with -ETIMEDOUT in its packet,
 * bytes telling what had already gone. Negative or 0 means none, as at first.
 * The deadline fires also while every worker is busy in a handler.
 * Returns 0, or -EBUSY while `op` is pending.
 */
int iocp_op_set_deadline(struct iocp_op *op, int64_t timeout_ns);

/*
 * Ask that `op`, or with NULL every operation pending on `handle`, ends now.
 * The packet still comes: with -ECANCELED and the bytes that had already
 * gone, or with the result when the operation won the race. Others are
 * untouched. Never blocks.
 * Returns 0 when something was asked, -ENOENT when nothing was pending, or
 * -EBADF for a closed handle.
 */
int iocp_cancel(struct iocp_handle *handle, struct iocp_op *op);

#ifdef __cplusplus
}
#endif

#endif
