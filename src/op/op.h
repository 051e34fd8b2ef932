/*
 * What the verbs share. A verb claims the operation, fills in its arguments,
 * and starts it; the engine then calls its `attempt` as often as needed.
 */
#ifndef IOCP_OP_OP_H
#define IOCP_OP_OP_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <iocp/socket.h>

#include "base/op_state.h"
#include "engine/handle.h"

/* A call's errno becomes an outcome; others end the operation. */
static inline enum iocp__outcome iocp__failed(struct iocp_op *op, long error)
{
    if (error == -EAGAIN)
        return IOCP__AGAIN;
    op->status = (int)error;
    return IOCP__DONE_READY;
}

/* 0, or why this call cannot even look at its handle. */
static inline int iocp__begin(const struct iocp_handle *handle,
                              struct iocp_op *op)
{
    if (!handle || !op)
        return -EINVAL;
    if (!iocp__port_here(handle->port))
        return -ECHILD;
    return iocp__op_claim(op) ? 0 : -EBUSY;
}

static inline void *iocp__pointer(const struct iocp_op *op, unsigned index)
{
    return (void *)op->own.args[index];
}

enum { IOCP__WINDOW = 64, IOCP__VECTOR_MAX = 1024 };

/* What is left of a vector after its first `skip` bytes, at most
 * IOCP__WINDOW pieces; how many. */
unsigned iocp__vector_window(const struct iovec *vector, size_t count,
                             size_t skip, struct iovec *window);
size_t iocp__vector_bytes(const struct iovec *vector, size_t count);

#endif
