/*
 * How a started operation gets done: tried at once, else when an event says
 * that the next call may succeed, by whoever heard of it or took it from the
 * queue.
 */
#include <errno.h>

#include "engine/handle.h"
#include "engine/timers.h"

enum { SENDS_PER_TURN = 64 };

static struct iocp__direction *direction_of(struct iocp_handle *handle,
                                            const struct iocp__verb *verb)
{
    return verb->out ? &handle->out : &handle->in;
}

static struct iocp_op *first_of(const struct iocp__direction *direction)
{
    struct iocp__node *node = direction->ops.head;

    return node ? iocp__op_of(node) : NULL;
}

/* All functions here want the handle pinned: they drop its lock. */

/* Was it asked to end while it was inside the call? Then so it does. */
static bool end_was_asked(struct iocp_op *op)
{
    switch (iocp__op_get_state(op)) {
    case IOCP__OP_ABORTING:
        op->status = -ECANCELED;
        return true;
    case IOCP__OP_EXPIRING:
        op->status = -ETIMEDOUT;
        return true;
    case IOCP__OP_IDLE:
    case IOCP__OP_CLAIMED:
    case IOCP__OP_PENDING:
    case IOCP__OP_QUEUED:
        return false;
    }
    return false;
}

/*
 * Try the head of a direction until it is done or would block. An event that
 * falls into the call sets `ready` again: then the answer is out of date.
 */
static enum iocp__outcome attempt_locked(struct iocp_handle *handle,
                                         struct iocp__direction *direction,
                                         struct iocp_op *op)
    IOCP__REQUIRES(handle->lock)
{
    enum iocp__outcome outcome;

    do {
        direction->fresh = direction->told;
        direction->ready = direction->told = false;
        direction->current = op;
        iocp__handle_unlock(handle);
        outcome = op->own.verb->attempt(handle, op);
        iocp__handle_lock(handle);
        direction->current = NULL;
        if ((outcome == IOCP__AGAIN || outcome == IOCP__YIELD) &&
            end_was_asked(op))
            outcome = IOCP__DONE_READY;
    } while (outcome == IOCP__AGAIN && direction->ready);
    if (op->status == -ECONNRESET)
        handle->reset = true;
    /* Data and FIN come as one edge: after a FIN a short read tells nothing. */
    if (outcome == IOCP__DONE_READY || outcome == IOCP__YIELD ||
        outcome == IOCP__MOVED ||
        (outcome == IOCP__DONE && handle->ended && !op->own.verb->out))
        direction->ready = true;
    return outcome;
}

static bool finished(enum iocp__outcome outcome)
{
    return outcome == IOCP__DONE || outcome == IOCP__DONE_READY;
}

bool iocp__wants_turn_locked(struct iocp_handle *handle)
{
    bool in = handle->in.ready && !handle->in.busy && handle->in.ops.head;
    bool out = handle->out.ready && !handle->out.busy && handle->out.ops.head;

    if (handle->queued || !(in || out))
        return false;
    return handle->queued = true;
}

void iocp__handle_leave(struct iocp_handle *handle)
{
    struct iocp__list ready = {0};

    if (iocp__wants_turn_locked(handle)) {
        iocp__handle_unlock(handle);
        iocp__list_append(&ready, &handle->node);
        iocp__port_enqueue(handle->port, &ready, 1);
        iocp__handle_lock(handle);
    }
    iocp__handle_unpin(handle);
}

/* Queue packets while the direction is still busy, so that no later
 * completion overtakes them. */
static void deliver_locked(struct iocp_handle *handle, struct iocp__list *done)
    IOCP__REQUIRES(handle->lock)
{
    if (!done->head)
        return;
    iocp__handle_unlock(handle);
    iocp__ops_deliver(handle, done);
    iocp__handle_lock(handle);
}

static void move_locked(struct iocp_handle *handle,
                        struct iocp__direction *direction, struct iocp_op *op)
    IOCP__REQUIRES(handle->lock)
{
    handle->moves = true;
    iocp__list_remove(&direction->ops, &op->own.node);
    iocp__handle_unlock(handle);
    op->own.verb->moved(op);
    iocp__handle_lock(handle);
}

void iocp__drive_out_locked(struct iocp_handle *handle)
{
    struct iocp__direction *out = &handle->out;
    struct iocp__list done = {0};
    struct iocp_op *op;
    unsigned turns = 0;

    if (out->busy)
        return;
    out->busy = true;
    while ((op = first_of(out)) && out->ready && turns++ < SENDS_PER_TURN) {
        enum iocp__outcome outcome = attempt_locked(handle, out, op);

        if (outcome == IOCP__YIELD)
            break;
        if (!finished(outcome))
            continue;
        iocp__op_finish_locked(handle, out, op);
        iocp__list_append(&done, &op->own.node);
    }
    deliver_locked(handle, &done);
    out->busy = false;
}

bool iocp__drive_one_in_locked(struct iocp_handle *handle,
                               struct iocp_packet *ret_packet)
{
    struct iocp__direction *in = &handle->in;
    struct iocp__list done = {0};
    struct iocp_op *op = first_of(in);
    enum iocp__outcome outcome;
    bool given = false;

    if (in->busy || !in->ready || !op)
        return false;
    in->busy = true;
    outcome = attempt_locked(handle, in, op);
    if (outcome == IOCP__MOVED)
        move_locked(handle, in, op);
    if (finished(outcome)) {
        iocp__op_finish_locked(handle, in, op);
        given = ret_packet && !op->own.verb->ended;
        if (given)
            iocp__packet_of(op, ret_packet);
        else
            iocp__list_append(&done, &op->own.node);
    }
    deliver_locked(handle, &done);
    in->busy = false;
    return given;
}

static int connect_refusal_locked(const struct iocp_handle *handle)
    IOCP__REQUIRES(handle->lock)
{
    if (handle->connecting)
        return -EALREADY;
    return handle->connected || handle->out.ops.head ? -EISCONN : 0;
}

/* Why `verb` cannot begin here at all. */
static int refusal_locked(const struct iocp_handle *handle,
                          const struct iocp__verb *verb)
    IOCP__REQUIRES(handle->lock)
{
    bool shut = verb->out ? handle->out.shut : handle->in.shut;

    if (!handle->owners)
        return -EBADF;
    if (atomic_load_explicit(&handle->port->closed_hint, memory_order_relaxed))
        return -ESHUTDOWN;
    if (handle->acceptor)
        return -ENOTCONN;
    if (verb->connects)
        return connect_refusal_locked(handle);
    if (handle->fd < 0 || handle->connecting)
        return -ENOTCONN;
    if (verb->disconnects)
        return 0;
    return handle->reset ? -ECONNRESET : shut ? -EPIPE : 0;
}

/* It could not be done at once: it waits for an event, or for its turn. */
static int pend_locked(struct iocp_handle *handle, struct iocp_op *op)
    IOCP__REQUIRES(handle->lock)
{
    int error = iocp__handle_register_locked(handle);

    if (!error && op->own.timeout_ns > 0)
        error = iocp__deadline_arm(handle->port, op);
    return error;
}

/* It ends in the call that started it: no packet. */
static int take_back_locked(struct iocp_handle *handle,
                            struct iocp__direction *direction,
                            struct iocp_op *op, int result)
    IOCP__REQUIRES(handle->lock)
{
    iocp__list_remove(&direction->ops, &op->own.node);
    if (op->own.verb->ended) {
        iocp__handle_unlock(handle);
        op->own.verb->ended(handle, op);
        iocp__handle_lock(handle);
    }
    iocp__op_set_state(op, IOCP__OP_IDLE);
    return result;
}

/* A connect that the network refuses within its own call has still begun. */
static bool is_late_failure(const struct iocp_op *op)
{
    if (!op->own.verb->connects)
        return false;
    return op->status == -ECONNREFUSED || op->status == -ETIMEDOUT ||
           op->status == -EHOSTUNREACH || op->status == -ENETUNREACH;
}

/* A datagram that was cut off is a warning: it queues its packet. */
static bool is_warning(const struct iocp_op *op)
{
    return op->status == -EMSGSIZE && !op->own.verb->out;
}

static bool failed_at_once(const struct iocp_op *op)
{
    return op->status && !op->bytes && !is_warning(op) &&
           !is_late_failure(op) && iocp__op_get_state(op) == IOCP__OP_PENDING;
}

/* Done within its own start: by the call's return, or by a packet. */
static int done_at_once_locked(struct iocp_handle *handle,
                               struct iocp__direction *direction,
                               struct iocp_op *op) IOCP__REQUIRES(handle->lock)
{
    struct iocp__list done = {0};

    if (failed_at_once(op))
        return take_back_locked(handle, direction, op, op->status);
    if (handle->skip && !op->status)
        return take_back_locked(handle, direction, op, 1);
    iocp__op_finish_locked(handle, direction, op);
    iocp__list_append(&done, &op->own.node);
    deliver_locked(handle, &done);
    return 0;
}

static int try_at_once_locked(struct iocp_handle *handle,
                              struct iocp__direction *direction,
                              struct iocp_op *op) IOCP__REQUIRES(handle->lock)
{
    int result = 0;

    direction->busy = true;
    switch (attempt_locked(handle, direction, op)) {
    case IOCP__DONE:
    case IOCP__DONE_READY:
        result = done_at_once_locked(handle, direction, op);
        break;
    case IOCP__AGAIN:
    case IOCP__YIELD:
        op->status = pend_locked(handle, op);
        /* Bytes that have gone are told by a packet, error or not. */
        if (op->status)
            result = done_at_once_locked(handle, direction, op);
        break;
    case IOCP__MOVED:
        move_locked(handle, direction, op);
        break;
    }
    direction->busy = false;
    return result;
}

static int start_locked(struct iocp_handle *handle, struct iocp_op *op)
    IOCP__REQUIRES(handle->lock)
{
    struct iocp__direction *direction = direction_of(handle, op->own.verb);
    bool first = !direction->ops.head && !direction->busy;
    int error;

    iocp__list_append(&direction->ops, &op->own.node);
    iocp__op_set_state(op, IOCP__OP_PENDING);
    /* The end of the stream needs no room in the socket. */
    if (first && (direction->ready || op->own.verb->disconnects))
        return try_at_once_locked(handle, direction, op);
    error = pend_locked(handle, op);
    if (error)
        take_back_locked(handle, direction, op, error);
    return error;
}

int iocp__start(struct iocp_handle *handle, struct iocp_op *op,
                const struct iocp__verb *verb)
{
    int result;

    iocp__handle_lock(handle);
    result = refusal_locked(handle, verb);
    if (result) {
        iocp__handle_unlock(handle);
        iocp__op_set_state(op, IOCP__OP_IDLE);
        return result;
    }
    op->bytes = 0;
    op->status = 0;
    op->flags = 0;
    op->own.verb = verb;
    op->own.key = handle->key;
    op->own.origin = handle;
    op->own.node.kind = IOCP__OP;
    __atomic_store_n(&op->own.handle, handle, __ATOMIC_RELAXED);
    handle->pins++;
    handle->connecting |= verb->connects;
    handle->out.shut |= verb->disconnects;
    result = start_locked(handle, op);
    iocp__handle_leave(handle);
    return result;
}

void iocp__resume(struct iocp_handle *handle, struct iocp_op *op,
                  const struct iocp__verb *verb)
{
    struct iocp__list ended = {0};

    iocp__handle_lock(handle);
    handle->pins++;
    op->own.verb = verb;
    __atomic_store_n(&op->own.handle, handle, __ATOMIC_RELAXED);
    iocp__list_append(&handle->in.ops, &op->own.node);
    op->status = handle->owners ? pend_locked(handle, op) : -ECANCELED;
    /* Closed meanwhile, asked to end on the way here, or no memory. */
    if (end_was_asked(op) || op->status) {
        iocp__op_finish_locked(handle, &handle->in, op);
        iocp__list_append(&ended, &op->own.node);
    }
    deliver_locked(handle, &ended);
    iocp__handle_leave(handle);
}
