/*
 * Receives. On a stream a short read has taken all that was there; a
 * datagram says nothing about the next one, so its readiness stands until
 * the kernel says EAGAIN.
 */
#include <errno.h>

#include "base/sys.h"
#include "op/op.h"

/* args: buffer, size | vector, count | msghdr | + address, address_len */

static bool wants_all(const struct iocp_op *op)
{
    return (op->own.msg_flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;
}

/* What the kernel is told; to wait for all is done here. */
static int call_flags(const struct iocp_op *op)
{
    return op->own.msg_flags & ~(MSG_WAITALL | IOCP_RECV_HINT);
}

/* A call on a stream that brought no byte: an end, or an error. */
static enum iocp__outcome brought_none(struct iocp_op *op, long result)
{
    if (result == -EAGAIN && op->bytes && !wants_all(op))
        return IOCP__DONE;
    if (result < 0)
        return iocp__failed(op, result);
    if (!op->bytes)
        op->flags |= IOCP_OP_END;
    return IOCP__DONE_READY;
}

/* A short read has taken all there was; a peek has taken nothing. */
static enum iocp__outcome brought(const struct iocp_op *op, size_t room)
{
    return op->bytes == room || op->own.msg_flags & MSG_PEEK ? IOCP__DONE_READY
                                                             : IOCP__DONE;
}

/* Nothing to take: is there something? */
static enum iocp__outcome look(const struct iocp_handle *handle,
                               struct iocp_op *op)
{
    char byte;
    long result;

    if (op->own.msg_flags & IOCP_RECV_HINT && handle->in.fresh)
        return IOCP__DONE_READY;
    result = iocp__sys_recv(handle->fd, &byte, 1, MSG_PEEK);
    if (result < 0)
        return iocp__failed(op, result);
    if (!result)
        op->flags |= IOCP_OP_END;
    return IOCP__DONE_READY;
}

static enum iocp__outcome attempt_buffer(struct iocp_handle *handle,
                                         struct iocp_op *op)
{
    size_t size = op->own.args[1];

    if (!size)
        return look(handle, op);
    do {
        long result =
            iocp__sys_recv(handle->fd, (char *)iocp__pointer(op, 0) + op->bytes,
                           size - op->bytes, call_flags(op));

        if (result <= 0)
            return brought_none(op, result);
        op->bytes += (size_t)result;
    } while (wants_all(op) && op->bytes < size);
    return brought(op, size);
}

static enum iocp__outcome attempt_vector(struct iocp_handle *handle,
                                         struct iocp_op *op)
{
    const struct iovec *vector = iocp__pointer(op, 0);
    size_t count = op->own.args[1];
    size_t total = iocp__vector_bytes(vector, count);
    struct iovec window[IOCP__WINDOW];
    struct msghdr message = {.msg_iov = window};
    size_t room;
    long result;

    if (!total)
        return look(handle, op);
    do {
        message.msg_iovlen =
            iocp__vector_window(vector, count, op->bytes, window);
        room = iocp__vector_bytes(window, message.msg_iovlen);
        result = iocp__sys_recvmsg(handle->fd, &message, call_flags(op));
        if (result <= 0)
            return brought_none(op, result);
        op->bytes += (size_t)result;
        /* A full window is no full vector: there may be more to take. */
    } while (op->bytes < total && !(op->own.msg_flags & MSG_PEEK) &&
             (wants_all(op) || (size_t)result == room));
    return brought(op, total);
}

/* A whole message at a time: msghdr, datagrams, and addresses. */
static enum iocp__outcome take_message(struct iocp_handle *handle,
                                       struct iocp_op *op,
                                       struct msghdr *message)
{
    size_t room = iocp__vector_bytes(message->msg_iov, message->msg_iovlen);
    bool stream = iocp__handle_is_stream(handle);
    long result;

    if (stream && !room)
        return look(handle, op);
    result = iocp__sys_recvmsg(handle->fd, message, call_flags(op));
    if (stream && result <= 0)
        return brought_none(op, result);
    if (result < 0)
        return iocp__failed(op, result);
    op->bytes = (size_t)result;
    if (stream)
        return brought(op, room);
    if (message->msg_flags & MSG_TRUNC)
        op->status = -EMSGSIZE;
    else if (!result && room && handle->type == SOCK_SEQPACKET)
        op->flags |= IOCP_OP_END;
    return IOCP__DONE_READY;
}

static enum iocp__outcome attempt_datagram(struct iocp_handle *handle,
                                           struct iocp_op *op)
{
    struct iovec vector = {.iov_base = iocp__pointer(op, 0),
                           .iov_len = op->own.args[1]};
    socklen_t *address_len = iocp__pointer(op, 3);
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_name = iocp__pointer(op, 2)};
    enum iocp__outcome outcome;

    if (message.msg_name)
        message.msg_namelen = *address_len;
    outcome = take_message(handle, op, &message);
    if (message.msg_name && outcome != IOCP__AGAIN)
        *address_len = message.msg_namelen;
    return outcome;
}

static enum iocp__outcome attempt_datagram_vector(struct iocp_handle *handle,
                                                  struct iocp_op *op)
{
    struct msghdr message = {.msg_iov = iocp__pointer(op, 0),
                             .msg_iovlen = op->own.args[1]};

    return take_message(handle, op, &message);
}

static enum iocp__outcome attempt_message(struct iocp_handle *handle,
                                          struct iocp_op *op)
{
    return take_message(handle, op, iocp__pointer(op, 0));
}

static const struct iocp__verb recv_buffer = {.attempt = attempt_buffer};
static const struct iocp__verb recv_vector = {.attempt = attempt_vector};
static const struct iocp__verb recv_datagram = {.attempt = attempt_datagram};
static const struct iocp__verb recv_datagram_vector = {
    .attempt = attempt_datagram_vector};
static const struct iocp__verb recv_message = {.attempt = attempt_message};

int iocp_recv(struct iocp_handle *handle, struct iocp_op *op, void *buffer,
              size_t size_bytes, int flags)
{
    int error = iocp__begin(handle, op);

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)buffer;
    op->own.args[1] = size_bytes;
    op->own.args[2] = op->own.args[3] = 0;
    op->own.msg_flags = flags;
    return iocp__start(handle, op,
                       iocp__handle_is_stream(handle) ? &recv_buffer
                                                      : &recv_datagram);
}

int iocp_recvv(struct iocp_handle *handle, struct iocp_op *op,
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
    return iocp__start(handle, op,
                       iocp__handle_is_stream(handle) ? &recv_vector
                                                      : &recv_datagram_vector);
}

int iocp_recvmsg(struct iocp_handle *handle, struct iocp_op *op,
                 struct msghdr *message, int flags)
{
    int error = message && message->msg_iov && message->msg_iovlen &&
                        message->msg_iovlen <= IOCP__VECTOR_MAX
                    ? iocp__begin(handle, op)
                    : -EINVAL;

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)message;
    op->own.msg_flags = flags;
    return iocp__start(handle, op, &recv_message);
}

int iocp_recvfrom(struct iocp_handle *handle, struct iocp_op *op, void *buffer,
                  size_t size_bytes, int flags, struct sockaddr *ret_address,
                  socklen_t *address_len)
{
    int error = !ret_address || address_len ? iocp__begin(handle, op) : -EINVAL;

    if (error)
        return error;
    op->own.args[0] = (uintptr_t)buffer;
    op->own.args[1] = size_bytes;
    op->own.args[2] = (uintptr_t)ret_address;
    op->own.args[3] = (uintptr_t)address_len;
    op->own.msg_flags = flags;
    return iocp__start(handle, op, &recv_datagram);
}
