/* The operation itself, and its cancel. */
#include <errno.h>
#include <string.h>

#include <iocp/timer.h>

#include "base/clock.h"
#include "engine/timers.h"
#include "op/op.h"

_Static_assert(sizeof(struct iocp_op) == 152, "part of the binary interface");

void iocp_op_init(struct iocp_op *op)
{
    memset(op, 0, sizeof(*op));
}

int iocp_op_set_deadline(struct iocp_op *op, int64_t timeout_ns)
{
    if (!iocp__op_claim(op))
        return -EBUSY;
    op->own.timeout_ns = timeout_ns;
    iocp__op_set_state(op, IOCP__OP_IDLE);
    return 0;
}

static unsigned cancel_all(struct iocp_handle *handle)
{
    struct iocp__list ended = {0};
    unsigned count;

    iocp__handle_lock(handle);
    handle->pins++;
    count = iocp__end_direction_locked(handle, &handle->in, &ended) +
            iocp__end_direction_locked(handle, &handle->out, &ended);
    iocp__handle_unlock(handle);
    iocp__ops_deliver(handle, &ended);
    count += iocp__end_moved(handle, NULL);
    iocp__handle_lock(handle);
    iocp__handle_leave(handle);
    return count;
}

int iocp_cancel(struct iocp_handle *handle, struct iocp_op *op)
{
    bool open, asked;

    if (!iocp__port_here(handle->port))
        return -ECHILD;
    iocp__handle_lock(handle);
    open = handle->owners;
    iocp__handle_unlock(handle);
    if (!open)
        return -EBADF;
    if (!op)
        asked = cancel_all(handle);
    else
        asked = iocp__end_linked(handle, op, IOCP__OP_ABORTING) ||
                iocp__end_moved(handle, op);
    return asked ? 0 : -ENOENT;
}

int iocp_timer_start(struct iocp_port *port, struct iocp_op *op, uintptr_t key,
                     int64_t after_ns)
{
    int error;

    if (!iocp__port_here(port))
        return -ECHILD;
    if (!iocp__op_claim(op))
        return -EBUSY;
    op->bytes = 0;
    op->status = 0;
    op->flags = 0;
    op->own.key = key;
    op->own.node.kind = IOCP__OP;
    __atomic_store_n(&op->own.handle, NULL, __ATOMIC_RELAXED);
    error = iocp__watcher_start(port);
    if (!error)
        error = iocp__timer_start(
            port, op, iocp__deadline_ns(after_ns < 0 ? 0 : after_ns));
    if (error)
        iocp__op_set_state(op, IOCP__OP_IDLE);
    return error;
}

int iocp_timer_cancel(struct iocp_port *port, struct iocp_op *op)
{
    if (!iocp__port_here(port))
        return -ECHILD;
    return iocp__timer_end(port, op) ? 0 : -ENOENT;
}
