/*
 * What the port asks of the place where I/O comes from. The port declares
 * it and src/engine/ defines it, so that the port knows no handle.
 *
 * A source puts READY nodes into the queue: work that can be done now. The
 * thread that takes such a node runs it and has the result hot in its cache.
 */
#ifndef IOCP_PORT_SOURCE_H
#define IOCP_PORT_SOURCE_H

#include <stdbool.h>
#include <sys/epoll.h>

#include "base/list.h"

struct iocp_packet;
struct iocp_port;

/* In epoll_data.u64, beside the engine's own values: the port's kick. */
#define IOCP__KICK UINT64_MAX

/* What one return of epoll_wait() has brought, to be queued. */
struct iocp__harvest {
    struct iocp__list nodes;
    unsigned count;
    bool kicked;
};

int iocp__source_create(struct iocp_port *port);
void iocp__source_destroy(struct iocp_port *port);

/* The port was closed: let go of everything that no handle holds. */
void iocp__source_close(struct iocp_port *port);

/* This process is a child of fork(): the parent's handles are not its own. */
void iocp__source_forked(void);

/* Note `count` events; drive what must not wait; collect READY nodes. */
void iocp__source_note(struct iocp_port *port, const struct epoll_event *events,
                       int count, struct iocp__harvest *harvest);

/* Any event may have been lost: let the kernel tell again what is so. */
void iocp__source_rearm(struct iocp_port *port);

/*
 * Run a READY node. True when that gave a packet to the caller; where it is
 * not wanted (NULL), or comes in another way, it goes through the queue.
 */
bool iocp__source_run(struct iocp__node *node, struct iocp_packet *ret_packet);

/* A READY node that was queued when the port closed. */
void iocp__source_drop(struct iocp__node *node);

#endif
