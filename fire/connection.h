/*
 * A connection: a state machine with one operation in flight.
 *
 *     WAIT_ACCEPT -> WAIT_REQUEST -> WAIT_TRANSMIT -> WAIT_RESET
 *          ^              ^   kept        |               |
 *          |              +---------------+               |
 *          +----------------------------------------------+
 *
 * Whoever took the packet of its operation runs it, and starts the next
 * operation as the last thing that it does: so no two workers ever run the
 * same connection, and there is no lock. An object is some 200 bytes, and
 * all that an idle connection has; from the first byte of a request on it
 * borrows an exchange.
 */
#ifndef FIRE_CONNECTION_H
#define FIRE_CONNECTION_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <iocp.h>

struct exchange;
struct listener;
struct server;
struct worker;

enum connection_state {
    WAIT_ACCEPT,   /* for a client; or free, in the pool */
    WAIT_REQUEST,  /* without an exchange: for its first byte */
    WAIT_TRANSMIT, /* for the answer to have gone */
    WAIT_RESET,    /* with an exchange: for the peer's end; else for ours */
};

struct connection {
    struct iocp_op op; /* first: a packet's op is the connection */
    _Atomic(struct iocp_handle *) handle; /* read by pool_wake() too */
    struct exchange *exchange;
    atomic_uint next_free; /* the pool's */
    uint8_t state;         /* enum connection_state */
    uint8_t listener;      /* which one it was accepted by */
    bool is_new;           /* it has sent no request yet */
    uint8_t stalls; /* looks in a row, while draining, that saw no progress */
    socklen_t peer_size;
    struct sockaddr_in6 peer; /* room for an IPv4 address too; port and all */
};

/* Begin to wait for a client. Returns 0, or a negative errno and nothing. */
int connection_accept(struct connection *connection, struct listener *listener,
                      unsigned number);

/* Its operation has ended: go on until another one is in flight. */
void connection_run(struct worker *worker, struct iocp_op *op);

#endif
