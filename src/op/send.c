/*
 * Sends. On a stream one is done when the kernel has taken its last byte;
 * until EAGAIN it goes on, because only after that the kernel promises an
 * event when there is room again.
 */
#include <errno.h>

#include "base/sys.h"
#include "op/op.h"

/* args: buffer, size | vector, count | msghdr | + address, address_len */

/* EPIPE of a socket that never was connected means just that. */
static enum iocp__outcome failed_send(struct iocp_handle *handle,
                                      struct iocp_op *op, long error)
{
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);

    if (error == -EPIPE && !handle->connected &&
        iocp__sys_getpeername(handle->fd, (struct sockaddr *)&peer,
                              &peer_len) == -ENOTCONN)
        error = -ENOTCONN;
    return iocp__failed(op, error);
}

static enum iocp__outcome attempt_buffer(struct iocp_handle *handle,
                                         struct iocp_op *op)
{
    size_t size = op->own.args[1];

    do {
        long result = iocp__sys_send(
            handle->fd, (const char *)iocp__pointer(op, 0) + op->bytes,
            size - op->bytes, op->own.msg_flags);

        if (result < 0)
            return failed_send(handle, op, result);
        op->bytes += (size_t)result;
    } while (op->bytes < size);
    return IOCP__DONE_READY;
}

/* Gathered from `message`, as far as it has gone; control data goes with
 * the first byte. */
static enum iocp__outcome attempt_gathered(struct iocp_handle *handle,
                                           struct iocp_op *op,
                                           const struct msghdr *message)
{
    size_t total = iocp__vector_bytes(message->msg_iov, message->msg_iovlen);
    struct iovec window[IOCP__WINDOW];
    struct msghdr part = *message;

    part.msg_iov = window;
    do {
        long result;

        part.msg_iovlen = iocp__vector_window(
            message->msg_iov, message->msg_iovlen, op->bytes, window);
        if (op->bytes) {
            part.msg_control = NULL;
            part.msg_controllen = 0;
        }
        result = iocp__sys_sendmsg(handle->fd, &part, op->own.msg_flags);
        if (result < 0)
            return failed_send(handle, op, result);
        op->bytes += (size_t)result;
    } while (op->bytes < total);
    return IOCP__DONE_READY;
}

/* A datagram goes whole or not at all. */
static enum iocp__outcome attempt_whole(struct iocp_handle *handle,
                                        struct iocp_op *op,
                                        const struct msghdr *message)
{
    long result = iocp__sys_sendmsg(handle->fd, message, op->own.msg_flags);

    if (result < 0)
        return failed_send(handle, op, result);
    op->bytes = (size_t)result;
    return IOCP__DONE_READY;
}

static enum iocp__outcome send_out(struct iocp_handle *handle,
                                   struct iocp_op *op,
                                   const struct msghdr *message)
{
    return iocp__handle_is_stream(handle)
               ? attempt_gathered(handle, op, message)
               : attempt_whole(handle, op, message);
}

static enum iocp__outcome attempt_vector(struct iocp_handle *handle,
                                         struct iocp_op *op)
{
    struct msghdr message = {.msg_iov = iocp__pointer(op, 0),
                             .msg_iovlen = op->own.args[1]};

    return send_out(handle, op, &message);
}

static enum iocp__outcome attempt_to(struct iocp_handle *handle,
                                     struct iocp_op *op)
{
    struct iovec vector = {.iov_base = iocp__pointer(op, 0),
                           .iov_len = op->own.args[1]};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_name = iocp__pointer(op, 2),
                             .msg_namelen = (socklen_t)op->own.args[3]};

    return send_out(handle, op, &message);
}

static enum iocp__outcome attempt_message(struct iocp_handle *handle,
                                          struct iocp_op *op)
{
    return send_out(handle, op, iocp__pointer(op, 0));
}

static const struct iocp__verb send_buffer = {.out = true,
                                              .attempt = attempt_buffer};
static const struct iocp__verb send_vector = {.out = true,
                                              .attempt = attempt_vector};
static const struct iocp__verb send_to = {.out = true, .attempt = attempt_to};
static const struct iocp__verb send_message = {.out = true,
                                               .attempt = attempt_message};

int iocp_send(struct iocp_handle *handle, struct iocp_op *op,
              const void *buffer, size_t size_bytes, int flags)
{
    int error = iocp__begin(handle, op);

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)buffer;
    op->own.args[1] = size_bytes;
    op->own.msg_flags = flags;
    return iocp__start(handle, op, &send_buffer);
}

int iocp_sendv(struct iocp_handle *handle, struct iocp_op *op,
               const struct iovec *vector, unsigned count, int flags)
{
    int error = vector && count && count <= IOCP__VECTOR_MAX
                    ? iocp__begin(handle, op)
                    : -EINVAL;

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)vector;
    op->own.args[1] = count;
    op->own.msg_flags = flags;
    return iocp__start(handle, op, &send_vector);
}

int iocp_sendmsg(struct iocp_handle *handle, struct iocp_op *op,
                 const struct msghdr *message, int flags)
{
    int error = message && message->msg_iov && message->msg_iovlen &&
                        message->msg_iovlen <= IOCP__VECTOR_MAX
                    ? iocp__begin(handle, op)
                    : -EINVAL;

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)message;
    op->own.msg_flags = flags;
    return iocp__start(handle, op, &send_message);
}

int iocp_sendto(struct iocp_handle *handle, struct iocp_op *op,
                const void *buffer, size_t size_bytes, int flags,
                const struct sockaddr *address, socklen_t address_len)
{
    int error = iocp__begin(handle, op);

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)buffer;
    op->own.args[1] = size_bytes;
    op->own.args[2] = (uintptr_t)address;
    op->own.args[3] = address_len;
    op->own.msg_flags = flags;
    return iocp__start(handle, op, &send_to);
}
