/*
 * The inside of a completion port. PROTOCOL, in short:
 *
 * - `packets` is the queue. `reserved` holds packets that were handed to a
 *   waiter asleep in epoll_wait(): they are nobody else's (P5).
 * - `waiters` has every waiting thread, the newest first (P4), a POLLER in
 *   epoll_wait() or a FUTEX waiter on a word of its own, never both.
 * - `running` counts the threads that run. Whoever queues a packet, or
 *   takes a thread off the count, releases the newest waiter while fewer
 *   than `concurrency` run: iocp__port_unlock() does that, always.
 * - A POLLER is told by one write to an eventfd; `kicked` says that a write
 *   is on its way, and whoever harvests it writes again if `reserved` is
 *   still not empty.
 *
 * Invariant at each unlock: `reserved` is not longer than the number of
 * pollers, and when it is not empty a kick is on its way or a spinner will
 * look at it under the lock before it sleeps. So no wake-up is lost.
 *
 * Lock order: a handle's lock, then the timers' lock; the port's lock alone.
 */
#ifndef IOCP_PORT_PORT_H
#define IOCP_PORT_PORT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <iocp/port.h>

#include "base/list.h"
#include "base/mutex.h"
#include "port/source.h"

/* What a node in the queue is. */
enum iocp__kind { IOCP__OP, IOCP__POSTED, IOCP__READY };

enum iocp__waiter_kind { IOCP__FUTEX, IOCP__POLLER };

/*
 * One thread that waits, runs or has blocked. It belongs to its thread and
 * is re-used, never freed: a late wake may touch `word` at any time.
 */
struct iocp__worker {
    struct iocp_port *port; /* its own thread's: where it is associated */
    struct iocp__worker *next_free;
    _Atomic uint32_t word; /* 0, 1: woken, 2: asleep */

    /* All below guarded by the port's lock. */
    struct iocp__node node;  /* in waiters */
    uint64_t arrival;        /* 0: not yet, in this call */
    struct iocp__node *slot; /* what it was released with */
    enum iocp__waiter_kind kind;
    bool waiting;    /* in waiters */
    bool counted;    /* in running */
    unsigned blocks; /* depth of iocp_block_begin() */
};

/* A posted packet, from the port's own store. */
struct iocp__posted {
    struct iocp__node node;
    struct iocp_packet packet;
};

enum iocp__watcher_state {
    IOCP__WATCHER_NONE,   /* no thread yet */
    IOCP__WATCHER_PARKED, /* somebody is in epoll_wait(): asleep */
    IOCP__WATCHER_TICK,   /* looks once a millisecond */
    IOCP__WATCHER_IN,     /* is in epoll_wait() itself */
};

enum { IOCP__WAKES = 8 };

struct iocp_port {
    /* Immutable after create. */
    unsigned concurrency;
    unsigned fork_generation;
    int epoll;
    int kick;        /* eventfd in the epoll set, never read */
    int64_t spin_ns; /* 0: never */
    struct iocp__engine *engine;

    atomic_uint owners;    /* iocp_port_acquire(); at 0 the port is closed */
    atomic_uint refs;      /* the owners together, and every handle */
    atomic_uint anchors;   /* the refs together, and every worker: the memory */
    _Atomic uint32_t live; /* handles and timers, until the very end */
    atomic_uint open;      /* handles that are not closed, and timers */
    atomic_uint reserved_hint; /* for the spinner: locked.reserved_count */
    atomic_bool closed_hint;   /* for the spinner: locked.closed */

    struct iocp__mutex lock;
    struct {                        /* all guarded by lock */
        struct iocp__list packets;  /* FIFO of OP, POSTED, READY */
        struct iocp__list reserved; /* FIFO, for pollers */
        struct iocp__list waiters;  /* newest first */
        struct iocp__list free_posted;
        struct iocp__posted_chunk *chunks;
        unsigned packet_count, reserved_count;
        unsigned running;
        unsigned pollers;
        unsigned since_harvest; /* packets taken since the last one */
        uint64_t arrivals;
        uint64_t harvests; /* by workers: the watcher's measure */
        bool closed;
        bool polled;     /* there was a handle or a timer */
        bool kicked;     /* a kick is on its way */
        bool fd_watched; /* iocp_port_fd() was asked for */
        bool spinning;   /* one poller spins instead of sleeping */
        bool promoting;  /* a FUTEX waiter is on its way to epoll_wait() */
        int spin_credit; /* whether spinning has paid lately */
        unsigned spin_skips;
        enum iocp__watcher_state watcher;
        bool watcher_started;
        struct iocp__worker *wakes[IOCP__WAKES]; /* to wake at unlock */
        unsigned wake_count;
    } locked;

    pthread_t watcher_thread;
    _Atomic uint32_t watcher_word;
};

/* port.c: false in a child of fork(), where nothing may be touched. */
bool iocp__port_here(const struct iocp_port *port);
void iocp__port_ref(struct iocp_port *port);
void iocp__port_unref(struct iocp_port *port);
void iocp__port_anchor(struct iocp_port *port);
void iocp__port_unanchor(struct iocp_port *port);
/* One handle or timer more, opened; closed; and gone. */
void iocp__port_live_add(struct iocp_port *port);
void iocp__port_live_closed(struct iocp_port *port);
void iocp__port_live_gone(struct iocp_port *port);

/* running.c */
static inline void iocp__port_lock(struct iocp_port *port)
    IOCP__ACQUIRES(port->lock)
{
    iocp__mutex_lock(&port->lock);
}
/* Release whom the state allows, unlock, and wake, kick, rouse as needed. */
void iocp__port_unlock(struct iocp_port *port) IOCP__RELEASES(port->lock);
bool iocp__may_run_locked(const struct iocp_port *port,
                          const struct iocp__worker *self)
    IOCP__REQUIRES(port->lock);
void iocp__count_in_locked(struct iocp_port *port, struct iocp__worker *self)
    IOCP__REQUIRES(port->lock);
void iocp__count_out_locked(struct iocp_port *port, struct iocp__worker *self)
    IOCP__REQUIRES(port->lock);
void iocp__release_newer_locked(struct iocp_port *port, uint64_t arrival)
    IOCP__REQUIRES(port->lock);
void iocp__release_all_locked(struct iocp_port *port)
    IOCP__REQUIRES(port->lock);
void iocp__waiter_insert_locked(struct iocp_port *port,
                                struct iocp__worker *worker)
    IOCP__REQUIRES(port->lock);
void iocp__waiter_remove_locked(struct iocp_port *port,
                                struct iocp__worker *worker)
    IOCP__REQUIRES(port->lock);

/* queue.c */
void iocp__port_enqueue(struct iocp_port *port, struct iocp__list *nodes,
                        unsigned count);
void iocp__packets_append_locked(struct iocp_port *port,
                                 struct iocp__list *nodes, unsigned count)
    IOCP__REQUIRES(port->lock);
struct iocp__node *iocp__packets_pop_locked(struct iocp_port *port)
    IOCP__REQUIRES(port->lock);
struct iocp__node *iocp__reserved_pop_locked(struct iocp_port *port)
    IOCP__REQUIRES(port->lock);
/* Copy an OP or POSTED node out; its memory is free from then on. */
void iocp__packet_take_locked(struct iocp_port *port, struct iocp__node *node,
                              struct iocp_packet *ret_packet)
    IOCP__REQUIRES(port->lock);
/* The packet of a finished operation, whose memory is free from then on. */
void iocp__packet_of(struct iocp_op *op, struct iocp_packet *ret_packet);
void iocp__posted_destroy(struct iocp_port *port);
/* Let go of nodes that nobody will take: the port is closed. */
void iocp__nodes_drop(struct iocp_port *port, struct iocp__list *nodes);

/* worker.c: the calling thread's worker, associated with `port`; or NULL. */
struct iocp__worker *iocp__worker_join(struct iocp_port *port);
void iocp__worker_leave(struct iocp__worker *worker);

/* wait.c: queue what epoll_wait() has brought. */
void iocp__harvest_absorb_locked(struct iocp_port *port,
                                 struct iocp__harvest *harvest)
    IOCP__REQUIRES(port->lock);

/* watcher.c */
int iocp__watcher_start(struct iocp_port *port);
void iocp__watcher_join(struct iocp_port *port);
void iocp__watcher_rouse(struct iocp_port *port);

#endif
