/*
 * The watcher: progress when no worker is in epoll_wait() (Q10).
 *
 * While workers come and go it only looks, once a millisecond (TICK), whether
 * one of them has been there; while one sleeps there it sleeps too (PARKED),
 * until the unlock that finds the last poller gone rouses it. Only when a
 * whole tick has passed with nobody there does it wait for events itself
 * (IN); what comes it hands to waiters as far as the limit allows, and does
 * the rest itself. It is then the oldest in epoll_wait(), so the kernel
 * prefers any worker that has come meanwhile.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"
#include "port/port.h"

enum {
    TICK_NS = 1000000,
    STACK_BYTES = 256 * 1024,
    EVENTS = 64,
    QUIET_LOOKS = 2, /* without a harvest, and somebody there: PARKED */
};

struct watch {
    struct iocp_port *port;
    uint64_t seen; /* harvests at the last look */
    unsigned quiet;
};

/* What waiters may not have yet is done here, and queued as packets. */
static void run_what_is_left(struct iocp_port *port)
{
    struct iocp__list left = {0};
    struct iocp__node *node, *next;

    iocp__port_lock(port);
    for (node = port->locked.packets.head; node; node = next) {
        next = node->next;
        if (node->kind != IOCP__READY)
            continue;
        iocp__list_remove(&port->locked.packets, node);
        iocp__list_append(&left, node);
        port->locked.packet_count--;
    }
    iocp__port_unlock(port);
    while ((node = iocp__list_pop(&left)))
        iocp__source_run(node, NULL);
}

static void watch_in(struct iocp_port *port)
{
    struct iocp__harvest harvest = {0};
    struct epoll_event events[EVENTS];
    int count = iocp__sys_epoll_wait(port->epoll, events, EVENTS, IOCP__NEVER);

    iocp__source_note(port, events, count, &harvest);
    iocp__port_lock(port);
    port->locked.watcher = IOCP__WATCHER_TICK;
    iocp__harvest_absorb_locked(port, &harvest);
    iocp__port_unlock(port);
    run_what_is_left(port);
}

static void look_locked(struct iocp_port *port, struct watch *watch)
    IOCP__REQUIRES(port->lock)
{
    bool harvested = port->locked.harvests != watch->seen;

    watch->seen = port->locked.harvests;
    watch->quiet = harvested || !port->locked.pollers ? 0 : watch->quiet + 1;
    if (!harvested && !port->locked.pollers)
        port->locked.watcher = IOCP__WATCHER_IN;
    else if (watch->quiet >= QUIET_LOOKS)
        port->locked.watcher = IOCP__WATCHER_PARKED;
    else
        return;
    watch->quiet = 0;
}

/* One step; false when the port is closed. */
static bool step(struct watch *watch)
{
    struct iocp_port *port = watch->port;
    enum iocp__watcher_state state;
    bool closed;

    iocp__port_lock(port);
    state = port->locked.watcher;
    closed = port->locked.closed;
    if (closed)
        port->locked.watcher = IOCP__WATCHER_NONE;
    /* Relaxed: a rouse that this forgets has set TICK before, or closed. */
    atomic_store_explicit(&port->watcher_word, 0, memory_order_relaxed);
    iocp__port_unlock(port);
    if (closed)
        return false;
    if (state == IOCP__WATCHER_IN) {
        watch_in(port);
        return true;
    }
    iocp__sys_futex_wait(
        &port->watcher_word, 0,
        state == IOCP__WATCHER_PARKED ? IOCP__NEVER : iocp__now_ns() + TICK_NS);
    iocp__port_lock(port);
    if (port->locked.watcher == IOCP__WATCHER_TICK &&
        state == IOCP__WATCHER_TICK && !port->locked.closed)
        look_locked(port, watch);
    iocp__port_unlock(port);
    return true;
}

static void *watcher_main(void *arg)
{
    struct watch watch = {.port = arg};
    cpu_set_t all;

    pthread_setname_np(pthread_self(), "iocp-watcher");
    /* 4 ms of slack on a tick of 1 ms halve its wake-ups under load. */
    prctl(PR_SET_TIMERSLACK, 4000000UL);
    /* The process's affinity and not that of the thread that came first. */
    if (!sched_getaffinity(getpid(), sizeof(all), &all))
        pthread_setaffinity_np(pthread_self(), sizeof(all), &all);
    while (step(&watch))
        ;
    return NULL;
}

void iocp__watcher_rouse(struct iocp_port *port)
{
    atomic_store_explicit(&port->watcher_word, 1, memory_order_release);
    iocp__sys_futex_wake(&port->watcher_word, 1);
}

static int create_thread(struct iocp_port *port)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error)
        return -EAGAIN;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* A thread of the library's must take no signal of the program's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error =
        pthread_create(&port->watcher_thread, &attributes, watcher_main, port);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error ? -EAGAIN : 0;
}

/* From now on the port has a source: called before the first one begins. */
int iocp__watcher_start(struct iocp_port *port)
{
    int error = 0;

    iocp__port_lock(port);
    if (port->locked.closed) {
        error = -ESHUTDOWN;
    } else if (!port->locked.watcher_started) {
        /* Short, and once in a port's life: under the lock. */
        error = create_thread(port);
        port->locked.watcher_started = !error;
        if (!error)
            port->locked.watcher = IOCP__WATCHER_TICK;
    }
    port->locked.polled |= !error;
    iocp__port_unlock(port);
    if (error == -EAGAIN)
        iocp__log(IOCP_LOG_ERROR,
                  "port %p: no thread for its watcher; raise RLIMIT_NPROC or "
                  "the pids limit of the container",
                  (void *)port);
    return error;
}

void iocp__watcher_join(struct iocp_port *port)
{
    bool started;

    iocp__port_lock(port);
    started = port->locked.watcher_started;
    port->locked.watcher_started = false;
    iocp__port_unlock(port);
    if (!started)
        return;
    iocp__watcher_rouse(port);
    pthread_join(port->watcher_thread, NULL);
}
