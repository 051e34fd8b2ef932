/*
 * Who may run. Every change of the queue, of the waiters or of the running
 * count ends in iocp__port_unlock(), and that is the one place that releases
 * waiters: no path can forget it.
 */
#include "base/clock.h"
#include "base/sys.h"
#include "port/port.h"

bool iocp__may_run_locked(const struct iocp_port *port,
                          const struct iocp__worker *self)
{
    return port->locked.running - self->counted < port->concurrency;
}

void iocp__count_in_locked(struct iocp_port *port, struct iocp__worker *self)
{
    port->locked.running += !self->counted;
    self->counted = true;
}

void iocp__count_out_locked(struct iocp_port *port, struct iocp__worker *self)
{
    port->locked.running -= self->counted;
    self->counted = false;
}

static struct iocp__worker *worker_of(struct iocp__node *node)
{
    return IOCP__CONTAINER(node, struct iocp__worker, node);
}

/* By arrival: one that waits again without a packet keeps its place. */
void iocp__waiter_insert_locked(struct iocp_port *port,
                                struct iocp__worker *worker)
{
    struct iocp__node *place = port->locked.waiters.head;

    if (!worker->arrival)
        worker->arrival = ++port->locked.arrivals;
    while (place && worker_of(place)->arrival > worker->arrival)
        place = place->next;
    iocp__list_insert(&port->locked.waiters, place, &worker->node);
    worker->waiting = true;
    port->locked.pollers += worker->kind == IOCP__POLLER;
}

void iocp__waiter_remove_locked(struct iocp_port *port,
                                struct iocp__worker *worker)
{
    if (!worker->waiting)
        return;
    iocp__list_remove(&port->locked.waiters, &worker->node);
    worker->waiting = false;
    port->locked.pollers -= worker->kind == IOCP__POLLER;
}

/*
 * The newest waiter that nothing is reserved for. The newest pollers, as
 * many as there are reserved packets, are spoken for.
 */
static struct iocp__worker *newest_free_locked(struct iocp_port *port)
{
    unsigned spoken_for = port->locked.reserved_count;

    for (struct iocp__node *node = port->locked.waiters.head; node;
         node = node->next) {
        struct iocp__worker *worker = worker_of(node);

        if (worker->kind == IOCP__FUTEX || !spoken_for--)
            return worker;
    }
    return NULL;
}

static void wake_locked(struct iocp_port *port, struct iocp__worker *worker)
    IOCP__REQUIRES(port->lock)
{
    port->locked.wakes[port->locked.wake_count++] = worker;
}

/* The packet is this worker's from here on, and it counts as running. */
static void hand_over_locked(struct iocp_port *port,
                             struct iocp__worker *worker)
    IOCP__REQUIRES(port->lock)
{
    struct iocp__node *node = iocp__packets_pop_locked(port);

    port->locked.running++;
    if (worker->kind == IOCP__FUTEX) {
        worker->slot = node;
        worker->counted = true;
        iocp__waiter_remove_locked(port, worker);
        wake_locked(port, worker);
        return;
    }
    iocp__list_append(&port->locked.reserved, node);
    /* Relaxed: the spinner takes the lock before it believes the hint. */
    atomic_store_explicit(&port->reserved_hint, ++port->locked.reserved_count,
                          memory_order_relaxed);
}

/* Release the newest waiters that arrived after `arrival`. */
void iocp__release_newer_locked(struct iocp_port *port, uint64_t arrival)
{
    while (!iocp__list_empty(&port->locked.packets) &&
           port->locked.running < port->concurrency &&
           port->locked.wake_count < IOCP__WAKES) {
        struct iocp__worker *worker = newest_free_locked(port);

        if (!worker || worker->arrival <= arrival)
            return;
        hand_over_locked(port, worker);
    }
}

/* The port is closed: wake every FUTEX waiter, with nothing. */
void iocp__release_all_locked(struct iocp_port *port)
{
    struct iocp__node *node = port->locked.waiters.head;

    while (node && port->locked.wake_count < IOCP__WAKES) {
        struct iocp__worker *worker = worker_of(node);

        node = node->next;
        if (worker->kind != IOCP__FUTEX)
            continue;
        iocp__waiter_remove_locked(port, worker);
        wake_locked(port, worker);
    }
}

/*
 * A thread may run, and nobody is in epoll_wait() to hear of new events:
 * move the newest waiter there. It happens when a worker has blocked or
 * gone, or at the first association; a worker that parks goes there itself.
 * It stays a waiter on its way, and a packet that comes meanwhile is its own.
 */
static void promote_locked(struct iocp_port *port) IOCP__REQUIRES(port->lock)
{
    if (!port->locked.polled || port->locked.pollers ||
        port->locked.promoting || port->locked.wake_count == IOCP__WAKES ||
        port->locked.running >= port->concurrency ||
        iocp__list_empty(&port->locked.waiters))
        return;
    port->locked.promoting = true;
    wake_locked(port, worker_of(port->locked.waiters.head));
}

/* Somebody in epoll_wait(), or at iocp_port_fd(), has yet to be told. */
static bool kick_needed_locked(struct iocp_port *port)
{
    bool wanted = port->locked.reserved_count && !port->locked.spinning;

    if (port->locked.fd_watched && !iocp__list_empty(&port->locked.packets))
        wanted = true;
    if (port->locked.closed)
        wanted =
            port->locked.pollers || port->locked.watcher == IOCP__WATCHER_IN;
    if (!wanted || port->locked.kicked)
        return false;
    port->locked.kicked = true;
    return true;
}

/* Nobody is in epoll_wait() and the watcher does not know it. */
static bool rouse_needed_locked(struct iocp_port *port)
{
    if (port->locked.watcher != IOCP__WATCHER_PARKED ||
        (port->locked.pollers && !port->locked.closed))
        return false;
    port->locked.watcher = IOCP__WATCHER_TICK;
    return true;
}

static void wake(struct iocp__worker *worker)
{
    /* Release: the slot was written before. 2 means that it sleeps. */
    if (atomic_exchange_explicit(&worker->word, 1, memory_order_release) == 2)
        iocp__sys_futex_wake(&worker->word, 1);
}

/* One unlock; true when there may be more to wake than had room. */
static bool unlock_once(struct iocp_port *port) IOCP__RELEASES(port->lock)
{
    struct iocp__worker *wakes[IOCP__WAKES];
    unsigned count;
    bool kick, rouse;

    if (port->locked.closed)
        iocp__release_all_locked(port);
    else
        iocp__release_newer_locked(port, 0);
    promote_locked(port);
    kick = kick_needed_locked(port);
    rouse = rouse_needed_locked(port);
    count = port->locked.wake_count;
    for (unsigned i = 0; i < count; i++)
        wakes[i] = port->locked.wakes[i];
    port->locked.wake_count = 0;
    iocp__mutex_unlock(&port->lock);

    for (unsigned i = 0; i < count; i++)
        wake(wakes[i]);
    if (kick)
        iocp__sys_eventfd_signal(port->kick);
    if (rouse)
        iocp__watcher_rouse(port);
    return count == IOCP__WAKES;
}

void iocp__port_unlock(struct iocp_port *port)
{
    while (unlock_once(port))
        iocp__port_lock(port);
}
