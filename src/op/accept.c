/*
 * Accept: waits on the listener, then, where first data is wanted, goes on
 * as a receive of the new connection. The packet stays the listener's.
 */
#include <errno.h>
#include <netinet/in.h>

#include "base/sys.h"
#include "op/op.h"

/* args: into, buffer, size, peer, peer_len */

static struct iocp_handle *into_of(const struct iocp_op *op)
{
    return iocp__pointer(op, 0);
}

/* Put the connection into the handle that was made for it. */
static int fill(const struct iocp_handle *listener, struct iocp_op *op, int fd)
{
    struct iocp_handle *into = into_of(op);
    int error = 0;

    iocp__handle_lock(into);
    if (!into->owners || into->acceptor != op) {
        error = -ECANCELED; /* closed a moment ago */
    } else {
        iocp__handle_empty_locked(into);
        iocp__handle_adopt_locked(into, fd);
        into->family = listener->family;
        into->type = listener->type;
        into->protocol = listener->protocol;
        into->connected = true;
        into->acceptor = NULL;
    }
    iocp__handle_unlock(into);
    op->accepted = into;
    return error;
}

/* Or make one, as the listener is. */
static int make(struct iocp_handle *listener, struct iocp_op *op, int fd)
{
    struct iocp_handle *handle;
    int error = iocp__handle_make(listener->port, fd, listener, &handle);

    if (error)
        return error;
    iocp__handle_lock(listener);
    handle->skip = listener->skip;
    iocp__handle_unlock(listener);
    handle->key = op->own.key;
    handle->connected = true;
    op->accepted = handle;
    return 0;
}

static enum iocp__outcome attempt_accept(struct iocp_handle *listener,
                                         struct iocp_op *op)
{
    int fd, error;

    do /* the next one, when a connection was gone too soon: accept(2) */
        fd = iocp__sys_accept(listener->fd, iocp__pointer(op, 3),
                              iocp__pointer(op, 4));
    while (fd == -ECONNABORTED || fd == -EPROTO);
    if (fd < 0)
        return iocp__failed(op, fd);
    iocp__descriptor_claim(fd);
    error = into_of(op) ? fill(listener, op, fd) : make(listener, op, fd);
    if (error) {
        iocp__descriptor_yield(fd);
        iocp__sys_close(fd);
        op->status = error;
        return IOCP__DONE_READY;
    }
    return op->own.args[2] ? IOCP__MOVED : IOCP__DONE_READY;
}

/* It ended: the handle that it was to fill is free for another. */
static void accept_ended(struct iocp_handle *listener, struct iocp_op *op)
{
    struct iocp_handle *into = into_of(op);

    (void)listener;
    if (!into)
        return;
    iocp__handle_lock(into);
    if (into->acceptor == op)
        into->acceptor = NULL;
    iocp__handle_unlock(into);
}

static enum iocp__outcome attempt_first_data(struct iocp_handle *handle,
                                             struct iocp_op *op)
{
    long result =
        iocp__sys_recv(handle->fd, iocp__pointer(op, 1), op->own.args[2], 0);

    if (result < 0)
        return iocp__failed(op, result);
    op->bytes = (size_t)result;
    if (!result)
        op->flags |= IOCP_OP_END;
    return op->bytes && op->bytes < op->own.args[2] ? IOCP__DONE
                                                    : IOCP__DONE_READY;
}

/* A handle that the library made is the caller's only with a success. */
static void first_data_ended(struct iocp_handle *handle, struct iocp_op *op)
{
    if (!op->status || into_of(op))
        return;
    op->accepted = NULL;
    iocp_handle_close(handle);
}

static const struct iocp__verb first_data = {.attempt = attempt_first_data,
                                             .ended = first_data_ended};

static void accept_moved(struct iocp_op *op)
{
    iocp__resume(op->accepted, op, &first_data);
}

static const struct iocp__verb accept_verb = {
    .attempt = attempt_accept, .ended = accept_ended, .moved = accept_moved};

/* A socket that was never bound, connected or made to listen. */
static bool is_unused(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    int listening;

    if (iocp__sys_getsockopt(fd, SO_ACCEPTCONN, &listening) || listening)
        return false;
    if (!iocp__sys_getpeername(fd, (struct sockaddr *)&address, &len))
        return false;
    len = sizeof(address);
    if (iocp__sys_getsockname(fd, (struct sockaddr *)&address, &len))
        return false;
    if (address.ss_family == AF_UNIX)
        return len <= sizeof(address.ss_family);
    /* The port number is at one place in both IP families. */
    return !((struct sockaddr_in *)(void *)&address)->sin_port;
}

/* Mark `into` as this accept's, so that nothing else begins there. */
static int reserve(struct iocp_handle *listener, struct iocp_handle *into,
                   struct iocp_op *op)
{
    int error = 0;

    iocp__handle_lock(into);
    if (!into->owners)
        error = -EBADF;
    else if (into->acceptor || into->in.ops.head || into->out.ops.head ||
             (into->fd >= 0 && !is_unused(into->fd)))
        error = -EISCONN;
    if (!error) {
        __atomic_store_n(&op->own.handle, listener, __ATOMIC_RELAXED);
        into->acceptor = op;
    }
    iocp__handle_unlock(into);
    return error;
}

int iocp_accept(struct iocp_handle *listener, struct iocp_op *op,
                struct iocp_handle *into, void *buffer, size_t size_bytes,
                struct sockaddr *ret_peer, socklen_t *peer_len)
{
    int result = !ret_peer || peer_len ? iocp__begin(listener, op) : -EINVAL;

    if (result)
        return result;
    op->accepted = NULL;
    op->own.args[0] = (uintptr_t)into;
    op->own.args[1] = (uintptr_t)buffer;
    op->own.args[2] = size_bytes;
    op->own.args[3] = (uintptr_t)ret_peer;
    op->own.args[4] = (uintptr_t)peer_len;
    if (into == listener)
        result = -EISCONN;
    else if (into && into->port != listener->port)
        result = -EINVAL;
    else if (into)
        result = reserve(listener, into, op);
    if (result) {
        iocp__op_set_state(op, IOCP__OP_IDLE);
        return result;
    }
    result = iocp__start(listener, op, &accept_verb);
    if (result)
        accept_ended(listener, op);
    return result;
}
