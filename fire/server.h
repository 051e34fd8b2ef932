/* The server: what all its workers share. */
#ifndef FIRE_SERVER_H
#define FIRE_SERVER_H

#include <signal.h>
#include <stdatomic.h>

#include "file.h"

struct files;
struct iocp_port;
struct listener;
struct log;
struct options;
struct pool;
struct worker;

/* The completion keys: whose packet it is. */
enum server_key {
    KEY_CONNECTION, /* packet.op is a connection's */
    KEY_LISTENER,   /* packet.op is a listener's timer */
};

/* What the connections are to do at their next step. */
enum server_phase {
    SERVER_RUNNING,
    SERVER_DRAINING, /* finish the answer, take no new request */
    SERVER_ABORTING, /* leave at once */
};

struct server {
    /* Immutable once the workers run. */
    const struct options *options;
    struct iocp_port *port;
    struct file_root root;
    struct files *files;
    struct log *log; /* NULL: off */
    struct pool *pool;
    struct listener *listeners;
    unsigned listener_count;
    unsigned accepts; /* outstanding on each listener, at most */

    struct worker *workers;
    unsigned worker_count;

    _Atomic enum server_phase phase;
};

/*
 * Make port, pool, cache, accepts and workers. Options, root, log and the
 * opened listeners are there before. Returns 0 or a negative errno.
 */
int server_start(struct server *server, unsigned descriptors);

/*
 * Let the answers under way end, but wait no longer than some seconds for a
 * client that takes nothing, nor than half a minute for all; then end.
 * `signals` cut it short.
 */
void server_stop(struct server *server, const sigset_t *signals);

static inline enum server_phase server_phase(const struct server *server)
{
    return atomic_load_explicit(&server->phase, memory_order_relaxed);
}

#endif
