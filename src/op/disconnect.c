#include "op/disconnect.h"

#include <errno.h>

#include "base/sys.h"

/*
 * Let go of the descriptor, but not under a receive's feet: its driver comes
 * back at once and finds that it was asked to end; until then this yields.
 */
static enum iocp__outcome empty(struct iocp_handle *handle)
{
    struct iocp__list ended = {0};
    bool busy;

    iocp__handle_lock(handle);
    iocp__end_direction_locked(handle, &handle->in, &ended);
    busy = handle->in.busy;
    if (!busy)
        iocp__handle_empty_locked(handle);
    iocp__handle_unlock(handle);
    iocp__ops_deliver(handle, &ended);
    return busy ? IOCP__YIELD : IOCP__DONE_READY;
}

enum iocp__outcome iocp__disconnect_now(struct iocp_handle *handle,
                                        struct iocp_op *op, unsigned flags)
{
    int error = iocp__sys_shutdown(handle->fd, SHUT_WR);

    /* Reset, or ended by the peer: there is nothing left to end, but a
     * descriptor to let go of. */
    if (flags & IOCP_REUSE)
        return empty(handle);
    if (error)
        return iocp__failed(op, error);
    iocp__handle_lock(handle);
    handle->out.shut = true;
    iocp__handle_unlock(handle);
    return IOCP__DONE_READY;
}

/* args: flags */
static enum iocp__outcome attempt_disconnect(struct iocp_handle *handle,
                                             struct iocp_op *op)
{
    return iocp__disconnect_now(handle, op, (unsigned)op->own.args[0]);
}

/* It did not take place: sends may go on, as far as the kernel lets them. */
static void disconnect_ended(struct iocp_handle *handle, struct iocp_op *op)
{
    if (!op->status)
        return;
    iocp__handle_lock(handle);
    handle->out.shut = false;
    iocp__handle_unlock(handle);
}

static const struct iocp__verb disconnect = {.out = true,
                                             .disconnects = true,
                                             .attempt = attempt_disconnect,
                                             .ended = disconnect_ended};

int iocp_disconnect(struct iocp_handle *handle, struct iocp_op *op,
                    unsigned flags)
{
    int error = iocp__begin(handle, op);

    if (error)
        return error;
    op->own.args[0] = flags;
    return iocp__start(handle, op, &disconnect);
}

static int shutdown_locked(struct iocp_handle *handle, int how)
    IOCP__REQUIRES(handle->lock)
{
    int error = 0;

    if (!handle->owners)
        return -EBADF;
    if (handle->fd < 0)
        return -ENOTCONN;
    if (how != SHUT_RD) {
        handle->shut_later = handle->out.ops.head;
        if (!handle->shut_later)
            error = iocp__sys_shutdown(handle->fd, SHUT_WR);
        handle->out.shut |= !error;
    }
    /* The kernel's SHUT_RD would end pending receives: it is kept here. */
    if (!error && how != SHUT_WR)
        handle->in.shut = true;
    return error;
}

int iocp_shutdown(struct iocp_handle *handle, int how)
{
    int error;

    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (!iocp__port_here(handle->port))
        return -ECHILD;
    iocp__handle_lock(handle);
    error = shutdown_locked(handle, how);
    iocp__handle_unlock(handle);
    return error;
}
