/*
 * The packet queue. The link of an operation's packet lives in the operation
 * and that of a ready handle in the handle, so that completing never
 * allocates; posted packets come from a store that grows by chunks and is
 * given back with the port.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/op_state.h"
#include "port/port.h"

enum { CHUNK = 62 }; /* posted packets in about 4 KiB */

struct iocp__posted_chunk {
    struct iocp__posted_chunk *next;
    struct iocp__posted posted[CHUNK];
};

static struct iocp__posted *posted_of(struct iocp__node *node)
{
    return IOCP__CONTAINER(node, struct iocp__posted, node);
}

static struct iocp_op *op_of(struct iocp__node *node)
{
    return IOCP__CONTAINER(node, struct iocp_op, own.node);
}

void iocp__packets_append_locked(struct iocp_port *port,
                                 struct iocp__list *nodes, unsigned count)
{
    iocp__list_splice(&port->locked.packets, nodes);
    port->locked.packet_count += count;
}

struct iocp__node *iocp__packets_pop_locked(struct iocp_port *port)
{
    port->locked.packet_count--;
    port->locked.since_harvest++;
    return iocp__list_pop(&port->locked.packets);
}

struct iocp__node *iocp__reserved_pop_locked(struct iocp_port *port)
{
    /* Relaxed: only a hint, see hand_over_locked(). */
    atomic_store_explicit(&port->reserved_hint, --port->locked.reserved_count,
                          memory_order_relaxed);
    return iocp__list_pop(&port->locked.reserved);
}

void iocp__port_enqueue(struct iocp_port *port, struct iocp__list *nodes,
                        unsigned count)
{
    iocp__port_lock(port);
    if (!port->locked.closed)
        iocp__packets_append_locked(port, nodes, count);
    iocp__port_unlock(port);
    /* What the port did not take is let go of without its lock. */
    iocp__nodes_drop(port, nodes);
}

void iocp__packet_of(struct iocp_op *op, struct iocp_packet *ret_packet)
{
    *ret_packet = (struct iocp_packet){
        .key = op->own.key, .op = op, .bytes = op->bytes, .status = op->status};
    /* From here on the block may be started again, or freed. */
    iocp__op_set_state(op, IOCP__OP_IDLE);
}

void iocp__packet_take_locked(struct iocp_port *port, struct iocp__node *node,
                              struct iocp_packet *ret_packet)
{
    if (node->kind == IOCP__POSTED) {
        *ret_packet = posted_of(node)->packet;
        iocp__list_append(&port->locked.free_posted, node);
        return;
    }
    iocp__packet_of(op_of(node), ret_packet);
}

void iocp__nodes_drop(struct iocp_port *port, struct iocp__list *nodes)
{
    struct iocp__node *node;

    while ((node = iocp__list_pop(nodes))) {
        switch ((enum iocp__kind)node->kind) {
        case IOCP__OP:
            iocp__op_set_state(op_of(node), IOCP__OP_IDLE);
            break;
        case IOCP__POSTED:
            iocp__mutex_lock(&port->lock);
            iocp__list_append(&port->locked.free_posted, node);
            iocp__mutex_unlock(&port->lock);
            break;
        case IOCP__READY:
            iocp__source_drop(node);
            break;
        }
    }
}

/* Called with the lock, which is dropped while memory is asked for. */
static int grow_locked(struct iocp_port *port) IOCP__REQUIRES(port->lock)
{
    struct iocp__posted_chunk *chunk;

    iocp__mutex_unlock(&port->lock);
    chunk = calloc(1, sizeof(*chunk));
    iocp__port_lock(port);
    if (!chunk)
        return -ENOMEM;
    chunk->next = port->locked.chunks;
    port->locked.chunks = chunk;
    for (unsigned i = 0; i < CHUNK; i++) {
        chunk->posted[i].node.kind = IOCP__POSTED;
        iocp__list_append(&port->locked.free_posted, &chunk->posted[i].node);
    }
    return 0;
}

static int post_locked(struct iocp_port *port, const struct iocp_packet *packet)
    IOCP__REQUIRES(port->lock)
{
    struct iocp__node *node;
    int error = 0;

    /* Again when other posters have taken the whole new chunk. */
    while (!error && !port->locked.closed &&
           iocp__list_empty(&port->locked.free_posted))
        error = grow_locked(port);
    if (port->locked.closed)
        return -ESHUTDOWN;
    if (error)
        return error;
    node = iocp__list_pop(&port->locked.free_posted);
    posted_of(node)->packet = *packet;
    iocp__list_append(&port->locked.packets, node);
    port->locked.packet_count++;
    return 0;
}

int iocp_port_post(struct iocp_port *port, const struct iocp_packet *packet)
{
    int error;

    if (!iocp__port_here(port))
        return -ECHILD;
    iocp__port_lock(port);
    error = post_locked(port, packet);
    iocp__port_unlock(port);
    return error;
}

void iocp__posted_destroy(struct iocp_port *port)
{
    struct iocp__posted_chunk *chunk;

    while ((chunk = port->locked.chunks)) {
        port->locked.chunks = chunk->next;
        free(chunk);
    }
}
