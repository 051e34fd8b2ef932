/*
 * The life of an operation, and the reason why it ends exactly once.
 *
 *   IDLE --claim--> CLAIMED --accepted--> PENDING --done--> QUEUED --taken-->
 * IDLE |                   |    ^
 *                      +-- never began     v    | the call won the race
 *                          back to IDLE  ABORTING, EXPIRING
 *
 * Only a claim races: two threads may try to start the same block, and one
 * of them gets -EBUSY. Every other step is taken under one lock: that of the
 * handle (or of the timers) up to QUEUED, that of the port from there on.
 * ABORTING and EXPIRING exist only while a thread is inside the system call
 * of this operation: it finds the mark when it comes back, and the operation
 * ends as asked unless the call has done it. Whoever unlinks a pending
 * operation from its handle completes it, so nobody else can; a cancel finds
 * only what is linked, so it never reaches a later use of the same block.
 */
#ifndef IOCP_BASE_OP_STATE_H
#define IOCP_BASE_OP_STATE_H

#include <errno.h>
#include <stdbool.h>

#include <iocp/op.h>

enum iocp__op_state {
    IOCP__OP_IDLE, /* 0: zeroed memory is idle */
    IOCP__OP_CLAIMED,
    IOCP__OP_PENDING,
    IOCP__OP_ABORTING,
    IOCP__OP_EXPIRING,
    IOCP__OP_QUEUED,
};

/* Acquire pairs with the release below: the last packet's reader is done. */
static inline bool iocp__op_claim(struct iocp_op *op)
{
    unsigned idle = IOCP__OP_IDLE;

    return __atomic_compare_exchange_n(&op->own.state, &idle, IOCP__OP_CLAIMED,
                                       false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void iocp__op_set_state(struct iocp_op *op,
                                      enum iocp__op_state state)
{
    __atomic_store_n(&op->own.state, (unsigned)state, __ATOMIC_RELEASE);
}

/* Relaxed: those who must not err hold the lock of the step. */
static inline enum iocp__op_state iocp__op_get_state(const struct iocp_op *op)
{
    return (enum iocp__op_state)__atomic_load_n(&op->own.state,
                                                __ATOMIC_RELAXED);
}

#endif
