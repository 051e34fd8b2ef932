#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <iocp.h>

#include "date.h"
#include "files.h"
#include "listen.h"
#include "log.h"
#include "options.h"
#include "pool.h"
#include "worker.h"

#define CONNECTIONS_DEFAULT 10000u

/* Accepts outstanding on a listener: a burst, not one for each connection. */
#define ACCEPTS_MAX 32u

/* The open-file cache. */
#define CACHE_ENTRIES 4096u
#define CACHE_DESCRIPTORS 1024u
#define CACHE_BYTES (32u << 20)

/* How the stop goes: a look each LOOK_NS, and the ends of patience. */
#define LOOK_NS (NS_PER_S / 20)
#define DRAIN_MAX_NS (30 * NS_PER_S)
#define ABORT_MAX_NS (3 * NS_PER_S)

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Descriptors that the open-file cache may hold. */
static unsigned cache_descriptors(unsigned descriptors)
{
    return least(descriptors / 8, CACHE_DESCRIPTORS);
}

/* Clients must not take the descriptors that their files need. */
static unsigned count_connections(unsigned wanted, unsigned descriptors)
{
    unsigned others = cache_descriptors(descriptors) + 64;
    unsigned possible = descriptors / 2;

    if (descriptors > 2 * others)
        possible = descriptors - others;
    if (wanted == 0)
        return least(possible, CONNECTIONS_DEFAULT);
    if (wanted > possible)
        fprintf(stderr,
                "fire: of %u connections only %u can be open at once, since "
                "the limit of descriptors is %u (ulimit -Hn)\n",
                wanted, possible, descriptors);
    return least(wanted, possible);
}

static int start_workers(struct server *server)
{
    unsigned count = server->options->workers;

    server->workers = calloc(count, sizeof(server->workers[0]));
    if (!server->workers)
        return -ENOMEM;
    for (; server->worker_count < count; server->worker_count++) {
        unsigned number = server->worker_count;
        int error =
            worker_start(&server->workers[number], server,
                         server->log ? log_ring(server->log, number) : NULL);

        if (error < 0)
            return error;
    }
    return 0;
}

int server_start(struct server *server, unsigned descriptors)
{
    const struct options *options = server->options;
    struct files_limits limits = {
        .entries = CACHE_ENTRIES,
        .descriptors = cache_descriptors(descriptors),
        .memory_bytes = CACHE_BYTES,
    };
    unsigned connections = count_connections(options->connections, descriptors);
    int error = iocp_port_create(options->workers, &server->port);

    if (error < 0)
        return error;
    server->accepts = least(ACCEPTS_MAX, connections);
    server->files = files_create(&server->root, &limits);
    server->pool = pool_create(server->port, connections);
    if (!server->files || !server->pool)
        return -ENOMEM;
    for (unsigned i = 0; i < server->listener_count; i++) {
        error = listener_associate(&server->listeners[i], server);
        if (error < 0)
            return error;
    }
    listener_fill(server);
    return start_workers(server);
}

/*
 * Wake the connections again and again, since one may have begun to wait
 * just after it was looked at. Returns whether all of them ended in time.
 */
static bool wait_for_end(struct server *server, const sigset_t *signals,
                         int64_t patience_ns)
{
    const struct timespec look = {.tv_nsec = LOOK_NS};
    int64_t until_ns = date_now_ns() + patience_ns;

    while (pool_taken(server->pool) > 0) {
        if (date_now_ns() >= until_ns)
            return false;
        pool_wake(server->pool);
        if (sigtimedwait(signals, NULL, &look) > 0)
            return false;
    }
    return true;
}

void server_stop(struct server *server, const sigset_t *signals)
{
    atomic_store(&server->phase, SERVER_DRAINING);
    for (unsigned i = 0; i < server->listener_count; i++)
        listener_close(server, &server->listeners[i]);
    if (!wait_for_end(server, signals, DRAIN_MAX_NS)) {
        atomic_store(&server->phase, SERVER_ABORTING);
        wait_for_end(server, signals, ABORT_MAX_NS);
    }

    iocp_port_close(server->port);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_join(&server->workers[i]);
    free(server->workers);
    if (server->log)
        log_destroy(server->log);
    pool_close(server->pool);
    /* What is still the library's cannot be freed; the exit will do. */
    if (iocp_port_drain(server->port, NS_PER_S) == 0)
        pool_destroy(server->pool);
    files_destroy(server->files);
    iocp_port_release(server->port);
}
