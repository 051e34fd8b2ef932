/* A port's birth, its close, and its end. */
#include "port/port.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"

enum { SPIN_NS = 50000 };

/*
 * How often this process has been forked into. A port remembers the number
 * of its birth: in a child its threads are gone, its locks may be held by
 * them, and its epoll set is the parent's.
 */
static atomic_uint forks;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void in_child(void)
{
    atomic_fetch_add(&forks, 1);
    iocp__source_forked();
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, in_child);
}

bool iocp__port_here(const struct iocp_port *port)
{
    /* Relaxed: it changes only in fork(), before the child does anything. */
    return port->fork_generation ==
           atomic_load_explicit(&forks, memory_order_relaxed);
}

/* Spinning takes the processor that would make the packet. */
static int64_t spin_ns(void)
{
    const char *wish = getenv("IOCP_SPIN_NS");
    long long ns = SPIN_NS;

    if (iocp__sys_processors() < 2)
        return 0;
    if (wish)
        ns = strtoll(wish, NULL, 10);
    return ns < 0 ? 0 : ns > 1000000000 ? 1000000000 : ns;
}

static int open_kick(struct iocp_port *port)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET,
                                .data.u64 = IOCP__KICK};
    int error;

    port->kick = iocp__sys_eventfd();
    if (port->kick < 0)
        return port->kick;
    error = iocp__sys_epoll_ctl(port->epoll, EPOLL_CTL_ADD, port->kick, &event);
    if (error)
        iocp__sys_close(port->kick);
    return error;
}

static int open_port(struct iocp_port *port)
{
    int error;

    port->epoll = iocp__sys_epoll_create();
    if (port->epoll < 0)
        return port->epoll;
    error = open_kick(port);
    if (error)
        goto close_epoll;
    error = iocp__source_create(port);
    if (!error)
        return 0;
    iocp__sys_close(port->kick);
close_epoll:
    iocp__sys_close(port->epoll);
    return error;
}

int iocp_port_create(unsigned concurrency, struct iocp_port **ret_port)
{
    struct iocp_port *port;
    int error;

    if (concurrency > INT_MAX || !ret_port)
        return -EINVAL;
    iocp__log_init();
    pthread_once(&fork_once, watch_forks);
    port = calloc(1, sizeof(*port));
    if (!port)
        return -ENOMEM;
    port->concurrency = concurrency ? concurrency : iocp__sys_processors();
    port->fork_generation = atomic_load(&forks);
    port->spin_ns = spin_ns();
    port->owners = port->refs = port->anchors = 1;
    error = open_port(port);
    if (error) {
        free(port);
        return error;
    }
    iocp__log(IOCP_LOG_DEBUG, "port %p: %u may run, spinning %lld ns",
              (void *)port, port->concurrency, (long long)port->spin_ns);
    *ret_port = port;
    return 0;
}

unsigned iocp_port_concurrency(const struct iocp_port *port)
{
    return port->concurrency;
}

int iocp_port_depth(struct iocp_port *port)
{
    int depth;

    if (!iocp__port_here(port))
        return -ECHILD;
    iocp__port_lock(port);
    depth = (int)(port->locked.packet_count + port->locked.reserved_count);
    if (port->locked.closed)
        depth = -ESHUTDOWN;
    iocp__port_unlock(port);
    return depth;
}

int iocp_port_fd(struct iocp_port *port)
{
    bool closed;

    if (!iocp__port_here(port))
        return -ECHILD;
    iocp__port_lock(port);
    closed = port->locked.closed;
    port->locked.fd_watched = true;
    iocp__port_unlock(port);
    return closed ? -ESHUTDOWN : port->epoll;
}

int iocp_port_close(struct iocp_port *port)
{
    struct iocp__list dropped = {0};
    bool closed;

    if (!iocp__port_here(port))
        return -ECHILD;
    iocp__port_lock(port);
    closed = port->locked.closed;
    port->locked.closed = true;
    atomic_store_explicit(&port->closed_hint, true, memory_order_relaxed);
    iocp__list_splice(&dropped, &port->locked.packets);
    iocp__list_splice(&dropped, &port->locked.reserved);
    port->locked.packet_count = port->locked.reserved_count = 0;
    iocp__port_unlock(port);
    iocp__nodes_drop(port, &dropped);
    if (closed)
        return -ESHUTDOWN;
    iocp__source_close(port);
    return 0;
}

int iocp_port_drain(struct iocp_port *port, int64_t timeout_ns)
{
    int64_t deadline_ns = iocp__deadline_ns(timeout_ns);
    uint32_t live;

    if (!iocp__port_here(port))
        return -ECHILD;
    /* Acquire: what the last user of a buffer did is done. */
    while ((live = atomic_load_explicit(&port->live, memory_order_acquire))) {
        if (atomic_load(&port->open))
            return -EBUSY;
        if (iocp__sys_futex_wait(&port->live, live, deadline_ns) == -ETIMEDOUT)
            return -ETIMEDOUT;
    }
    return 0;
}

void iocp__port_live_add(struct iocp_port *port)
{
    atomic_fetch_add_explicit(&port->open, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&port->live, 1, memory_order_relaxed);
}

void iocp__port_live_closed(struct iocp_port *port)
{
    atomic_fetch_sub_explicit(&port->open, 1, memory_order_relaxed);
}

void iocp__port_live_gone(struct iocp_port *port)
{
    /* Release: pairs with drain. The caller still holds the memory. */
    if (atomic_fetch_sub_explicit(&port->live, 1, memory_order_release) == 1)
        iocp__sys_futex_wake(&port->live, INT_MAX);
}

struct iocp_port *iocp_port_acquire(struct iocp_port *port)
{
    /* Relaxed: the caller holds a reference, so the count is not 0. */
    atomic_fetch_add_explicit(&port->owners, 1, memory_order_relaxed);
    return port;
}

void iocp_port_release(struct iocp_port *port)
{
    if (!port || !iocp__port_here(port))
        return;
    if (atomic_fetch_sub_explicit(&port->owners, 1, memory_order_acq_rel) > 1)
        return;
    iocp_port_close(port);
    iocp__watcher_join(port);
    iocp__port_unref(port);
}

void iocp__port_ref(struct iocp_port *port)
{
    atomic_fetch_add_explicit(&port->refs, 1, memory_order_relaxed);
}

void iocp__port_unref(struct iocp_port *port)
{
    /* Acquire and release: the last one sees all that the others did. */
    if (atomic_fetch_sub_explicit(&port->refs, 1, memory_order_acq_rel) > 1)
        return;
    iocp__source_destroy(port);
    iocp__posted_destroy(port);
    iocp__sys_close(port->kick);
    iocp__sys_close(port->epoll);
    iocp__port_unanchor(port);
}

void iocp__port_anchor(struct iocp_port *port)
{
    atomic_fetch_add_explicit(&port->anchors, 1, memory_order_relaxed);
}

void iocp__port_unanchor(struct iocp_port *port)
{
    if (atomic_fetch_sub_explicit(&port->anchors, 1, memory_order_acq_rel) == 1)
        free(port);
}
