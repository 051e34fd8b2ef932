/*
 * A thread's place in a port: it joins at its first wait (N1) and leaves when
 * it waits on another port, says so, or exits, also from inside a handler or
 * by pthread_cancel (N7). The worker holds the port's memory, not the port:
 * a thread that never comes back keeps no descriptor open.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/mutex.h"
#include "port/port.h"

/* Initial-exec: one pointer, read in every wait, without a call. */
static _Thread_local struct iocp__worker *self
    __attribute__((tls_model("initial-exec")));

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static int exit_key_error;

/* Workers of threads that have ended; a late wake may still touch them, so
 * they are never given back to the allocator. */
static struct iocp__mutex free_lock;
static struct iocp__worker *free_workers;

static void thread_exits(void *arg)
{
    struct iocp__worker *worker = arg;

    iocp__worker_leave(worker);
    self = NULL;
    iocp__mutex_lock(&free_lock);
    worker->next_free = free_workers;
    free_workers = worker;
    iocp__mutex_unlock(&free_lock);
}

static void make_exit_key(void)
{
    exit_key_error = pthread_key_create(&exit_key, thread_exits);
}

static struct iocp__worker *new_worker(void)
{
    struct iocp__worker *worker;

    iocp__mutex_lock(&free_lock);
    worker = free_workers;
    if (worker)
        free_workers = worker->next_free;
    iocp__mutex_unlock(&free_lock);
    return worker ? worker : calloc(1, sizeof(*worker));
}

static struct iocp__worker *this_worker(void)
{
    struct iocp__worker *worker;

    pthread_once(&once, make_exit_key);
    if (exit_key_error || !(worker = new_worker()))
        return NULL;
    if (pthread_setspecific(exit_key, worker)) {
        iocp__mutex_lock(&free_lock);
        worker->next_free = free_workers;
        free_workers = worker;
        iocp__mutex_unlock(&free_lock);
        return NULL;
    }
    return self = worker;
}

struct iocp__worker *iocp__worker_join(struct iocp_port *port)
{
    struct iocp__worker *worker = self;

    if (worker && worker->port == port)
        return worker;
    if (!worker && !(worker = this_worker()))
        return NULL;
    iocp__worker_leave(worker);
    iocp__port_anchor(port);
    worker->port = port;
    return worker;
}

void iocp__worker_leave(struct iocp__worker *worker)
{
    struct iocp_port *port = worker->port;

    worker->port = NULL;
    /* In a forked child the lock may be held by a thread that is not here. */
    if (!port || !iocp__port_here(port))
        return;
    iocp__port_lock(port);
    iocp__count_out_locked(port, worker);
    worker->blocks = 0;
    iocp__port_unlock(port);
    iocp__port_unanchor(port);
}

int iocp_port_leave(struct iocp_port *port)
{
    if (!iocp__port_here(port))
        return -ECHILD;
    if (!self || self->port != port)
        return -ENOENT;
    iocp__worker_leave(self);
    return 0;
}

int iocp_block_begin(void)
{
    struct iocp_port *port = self ? self->port : NULL;

    if (!port || !iocp__port_here(port))
        return 0;
    iocp__port_lock(port);
    self->blocks++;
    iocp__count_out_locked(port, self);
    iocp__port_unlock(port);
    return 0;
}

int iocp_block_end(void)
{
    struct iocp_port *port = self ? self->port : NULL;
    int error = 0;

    if (!port || !iocp__port_here(port))
        return 0;
    iocp__port_lock(port);
    if (!self->blocks)
        error = -EINVAL;
    else if (!--self->blocks)
        iocp__count_in_locked(port, self);
    iocp__port_unlock(port);
    return error;
}
