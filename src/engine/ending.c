/*
 * How an operation ends other than by its own system call: it is cancelled,
 * its time is up, its handle closes. One rule: whoever unlinks it delivers
 * it; one that is inside a call is only marked, and its driver does it.
 */
#include <errno.h>

#include "base/sys.h"
#include "engine/engine.h"
#include "engine/handle.h"

void iocp__op_finish_locked(struct iocp_handle *handle,
                            struct iocp__direction *direction,
                            struct iocp_op *op)
{
    iocp__list_remove(&direction->ops, &op->own.node);
    if (op->own.timeout_ns > 0)
        iocp__deadline_disarm(handle->port, op);
    iocp__op_set_state(op, IOCP__OP_QUEUED);
    /* A disconnect waits for those before it, and not for room. */
    if (handle->out.ops.head &&
        iocp__op_of(handle->out.ops.head)->own.verb->disconnects)
        handle->out.ready = true;
    /* What only waited for the sends before it: the end of the stream. */
    if (handle->shut_later && !handle->out.ops.head) {
        handle->shut_later = false;
        iocp__sys_shutdown(handle->fd, SHUT_WR);
    }
}

void iocp__ops_deliver(struct iocp_handle *handle, struct iocp__list *ended)
{
    unsigned count = 0;

    if (!ended->head)
        return;
    for (struct iocp__node *node = ended->head; node; node = node->next) {
        struct iocp_op *op = iocp__op_of(node);

        if (op->own.verb->ended)
            op->own.verb->ended(handle, op);
        count++;
    }
    iocp__port_enqueue(handle->port, ended, count);
}

static void end_op_locked(struct iocp_handle *handle,
                          struct iocp__direction *direction, struct iocp_op *op,
                          enum iocp__op_state how, struct iocp__list *ended)
    IOCP__REQUIRES(handle->lock)
{
    if (direction->current == op) {
        /* The first wish counts. Disarmed: it would be found due again. */
        if (op->own.timeout_ns > 0)
            iocp__deadline_disarm(handle->port, op);
        if (iocp__op_get_state(op) == IOCP__OP_PENDING)
            iocp__op_set_state(op, how);
        return;
    }
    op->status = how == IOCP__OP_EXPIRING ? -ETIMEDOUT : -ECANCELED;
    iocp__op_finish_locked(handle, direction, op);
    iocp__list_append(ended, &op->own.node);
}

unsigned iocp__end_direction_locked(struct iocp_handle *handle,
                                    struct iocp__direction *direction,
                                    struct iocp__list *ended)
{
    struct iocp__node *node, *next;
    unsigned count = 0;

    for (node = direction->ops.head; node; node = next, count++) {
        next = node->next;
        end_op_locked(handle, direction, iocp__op_of(node), IOCP__OP_ABORTING,
                      ended);
    }
    return count;
}

/* By address alone: what is not linked here may be no operation any more. */
static struct iocp_op *find_locked(struct iocp__direction *direction,
                                   const struct iocp_op *op)
{
    for (struct iocp__node *node = direction->ops.head; node; node = node->next)
        if (iocp__op_of(node) == op)
            return iocp__op_of(node);
    return NULL;
}

bool iocp__end_linked(struct iocp_handle *handle, const struct iocp_op *op,
                      enum iocp__op_state how)
{
    struct iocp__direction *direction = &handle->in;
    struct iocp__list ended = {0};
    struct iocp_op *found;

    iocp__handle_lock(handle);
    found = find_locked(direction, op);
    if (!found) {
        direction = &handle->out;
        found = find_locked(direction, op);
    }
    if (found)
        end_op_locked(handle, direction, found, how, &ended);
    handle->pins++;
    iocp__handle_unlock(handle);
    iocp__ops_deliver(handle, &ended);
    iocp__handle_lock(handle);
    iocp__handle_leave(handle);
    return found;
}

static unsigned end_moved_here(struct iocp_handle *handle,
                               const struct iocp_handle *origin,
                               const struct iocp_op *op)
{
    struct iocp__list ended = {0};
    struct iocp__node *node, *next;
    unsigned count = 0;

    iocp__handle_lock(handle);
    for (node = handle->in.ops.head; node; node = next) {
        struct iocp_op *moved = iocp__op_of(node);

        next = node->next;
        if (moved->own.origin != origin || (op && moved != op))
            continue;
        end_op_locked(handle, &handle->in, moved, IOCP__OP_ABORTING, &ended);
        count++;
    }
    if (!count) {
        iocp__handle_unlock(handle);
        return 0;
    }
    handle->pins++;
    iocp__handle_unlock(handle);
    iocp__ops_deliver(handle, &ended);
    iocp__handle_lock(handle);
    iocp__handle_unpin(handle);
    return count;
}

/* Rare, so it pays with a walk what every accept would else pay with a
 * second list. */
unsigned iocp__end_moved(struct iocp_handle *origin, const struct iocp_op *op)
{
    struct iocp__table *table = &origin->port->engine->table;
    uint32_t size = iocp__table_size(table);
    unsigned count = 0;
    bool moves;

    iocp__handle_lock(origin);
    moves = origin->moves;
    iocp__handle_unlock(origin);
    if (!moves)
        return 0;
    for (uint32_t slot = 0; slot < size; slot++) {
        struct iocp_handle *handle = iocp__table_at(table, slot);

        if (handle != origin)
            count += end_moved_here(handle, origin, op);
    }
    return count;
}
