/*
 * Connect, and send first data when there is any. The kernel is asked once,
 * within the call that starts it, so the address need not live longer; then
 * the event of the handshake's end is waited for.
 */
#include <errno.h>

#include "base/sys.h"
#include "op/op.h"

/* args: buffer, size, address (until begun), address_len */

/* A handle that was emptied gets a socket of the kind that it had. */
static int open_again(struct iocp_handle *handle)
{
    int fd;

    if (handle->fd >= 0)
        return 0;
    if (!handle->type)
        return -ENOTCONN; /* empty from birth: nobody knows what kind */
    fd = iocp__sys_socket(handle->family, handle->type, handle->protocol);
    if (fd < 0)
        return fd;
    iocp__descriptor_claim(fd);
    iocp__handle_lock(handle);
    iocp__handle_adopt_locked(handle, fd);
    handle->connecting = true;
    iocp__handle_unlock(handle);
    return 0;
}

static enum iocp__outcome send_first_data(struct iocp_handle *handle,
                                          struct iocp_op *op)
{
    while (op->bytes < op->own.args[1]) {
        long result = iocp__sys_send(
            handle->fd, (const char *)iocp__pointer(op, 0) + op->bytes,
            op->own.args[1] - op->bytes, 0);

        if (result < 0)
            return iocp__failed(op, result);
        op->bytes += (size_t)result;
    }
    return IOCP__DONE_READY;
}

static enum iocp__outcome begin(struct iocp_handle *handle, struct iocp_op *op)
{
    int error = open_again(handle);

    if (!error)
        error = iocp__sys_connect(handle->fd, iocp__pointer(op, 2),
                                  (socklen_t)op->own.args[3]);
    if (error == -EINPROGRESS || error == -EINTR) {
        op->own.args[2] = 0;
        return IOCP__AGAIN;
    }
    if (error) {
        op->status = error; /* -EAGAIN too: no event would follow, unix(7) */
        return IOCP__DONE_READY;
    }
    handle->connected = true;
    return send_first_data(handle, op);
}

/* The handshake is over when the socket knows its peer. */
static enum iocp__outcome attempt_connect(struct iocp_handle *handle,
                                          struct iocp_op *op)
{
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    int error = 0;

    if (!handle->connected && op->own.args[2])
        return begin(handle, op);
    if (!handle->connected) {
        iocp__sys_getsockopt(handle->fd, SO_ERROR, &error);
        if (error)
            return iocp__failed(op, -error);
        if (iocp__sys_getpeername(handle->fd, (struct sockaddr *)&peer,
                                  &peer_len))
            return IOCP__AGAIN;
        handle->connected = true;
    }
    return send_first_data(handle, op);
}

static void connect_ended(struct iocp_handle *handle, struct iocp_op *op)
{
    static const struct sockaddr none = {.sa_family = AF_UNSPEC};

    iocp__handle_lock(handle);
    handle->connecting = false;
    if (!handle->connected && !op->own.args[2] && handle->fd >= 0) {
        /* Its events are over; and half a handshake is taken back, so that
         * the socket can be used again: connect(2), AF_UNSPEC. */
        iocp__handle_unregister_locked(handle);
        iocp__sys_connect(handle->fd, &none, sizeof(none));
        iocp__handle_adopt_locked(handle, handle->fd);
    }
    iocp__handle_unlock(handle);
}

static const struct iocp__verb connect_verb = {.out = true,
                                               .connects = true,
                                               .attempt = attempt_connect,
                                               .ended = connect_ended};

int iocp_connect(struct iocp_handle *handle, struct iocp_op *op,
                 const struct sockaddr *address, socklen_t address_len,
                 const void *buffer, size_t size_bytes)
{
    int error = address ? iocp__begin(handle, op) : -EINVAL;

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)buffer;
    op->own.args[1] = size_bytes;
    op->own.args[2] = (uintptr_t)address;
    op->own.args[3] = address_len;
    return iocp__start(handle, op, &connect_verb);
}
