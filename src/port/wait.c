/*
 * Taking packets: at once when fewer than N others run, else after a park.
 *
 * A thread parks in one place (D8): in the port's epoll_wait() as a POLLER
 * while fewer than N run, so that it hears of new events itself; else on a
 * futex of its own, until a packet is handed to it. A POLLER brings in what
 * it has heard and then competes by age: newer FUTEX waiters come first.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/sys.h"
#include "port/port.h"

enum {
    EVENTS = 64,        /* taken from the kernel at a time */
    HARVEST_EVERY = 64, /* packets, or a flood of posts starves the sockets */
    RUN_AT_ONCE = 64,   /* READY nodes taken by one wait-many */
    SPIN_CREDIT_MAX = 16,
    SPIN_TRY_EVERY = 64, /* parks, when spinning has not paid */
};

/* One call of wait. */
struct visit {
    struct iocp_port *port;
    struct iocp__worker *self;
    struct iocp_packet *packets;
    unsigned capacity;
    int64_t timeout_ns;
    int64_t deadline_ns; /* 0: not yet computed */
    bool expired;
    bool harvested;
    bool spinning; /* this thread is the one that spins */
};

void iocp__harvest_absorb_locked(struct iocp_port *port,
                                 struct iocp__harvest *harvest)
{
    if (harvest->kicked)
        port->locked.kicked = false;
    iocp__packets_append_locked(port, &harvest->nodes, harvest->count);
}

/* Bring in what the kernel has ready, without waiting. */
static void harvest_now_locked(struct iocp_port *port, struct visit *visit)
    IOCP__REQUIRES(port->lock)
{
    struct iocp__harvest harvest = {0};
    struct epoll_event events[EVENTS];
    int count;

    visit->harvested = true;
    port->locked.since_harvest = 0;
    port->locked.harvests++;
    iocp__port_unlock(port);
    count = iocp__sys_epoll_wait(port->epoll, events, EVENTS, 0);
    iocp__source_note(port, events, count, &harvest);
    iocp__port_lock(port);
    iocp__harvest_absorb_locked(port, &harvest);
}

static bool harvest_due_locked(const struct iocp_port *port,
                               const struct visit *visit)
    IOCP__REQUIRES(port->lock)
{
    if (!port->locked.polled)
        return false;
    if (port->locked.since_harvest >= HARVEST_EVERY)
        return true;
    return visit->timeout_ns == 0 && !visit->harvested &&
           iocp__list_empty(&port->locked.packets);
}

/* Whether to spin this time: adaptive, one thread at a time. */
static void spin_begin_locked(struct iocp_port *port, struct visit *visit)
    IOCP__REQUIRES(port->lock)
{
    if (!port->spin_ns || port->locked.spinning ||
        port->locked.running >= port->concurrency)
        return;
    if (port->locked.spin_credit <= 0 &&
        ++port->locked.spin_skips < SPIN_TRY_EVERY)
        return;
    port->locked.spin_skips = 0;
    port->locked.spinning = visit->spinning = true;
}

/* One packet alone, soon: a sleep and a wake were saved. Several at once
 * would have come in one harvest after a sleep: that is cheaper. */
static void spin_end_locked(struct iocp_port *port, struct visit *visit,
                            bool paid) IOCP__REQUIRES(port->lock)
{
    if (!visit->spinning)
        return;
    port->locked.spinning = visit->spinning = false;
    if (!paid)
        port->locked.spin_credit -= 4;
    else if (port->locked.spin_credit < SPIN_CREDIT_MAX)
        port->locked.spin_credit += 1;
    if (port->locked.spin_credit < 0)
        port->locked.spin_credit = 0;
}

/*
 * Cancelled in the park: be gone as if never there. What was handed to this
 * thread goes back to the head of the queue; and since the cancel may have
 * struck between the kernel's answer and its reading, every event that may
 * be lost is asked for again, and the kick counts as not sent.
 */
static void abandon(void *arg)
{
    struct visit *visit = arg;
    struct iocp_port *port = visit->port;
    struct iocp__worker *self = visit->self;
    struct iocp__list back = {0};
    struct iocp__node *node = NULL;

    iocp__port_lock(port);
    iocp__waiter_remove_locked(port, self);
    spin_end_locked(port, visit, false);
    if (self->kind == IOCP__FUTEX) {
        node = self->slot;
        self->slot = NULL;
        port->locked.promoting = false;
    } else {
        port->locked.kicked = false;
        if (port->locked.reserved_count > port->locked.pollers) {
            node = iocp__reserved_pop_locked(port);
            self->counted = true;
        }
    }
    iocp__count_out_locked(port, self);
    if (node && port->locked.closed) {
        iocp__list_append(&back, node);
    } else if (node) {
        iocp__list_prepend(&port->locked.packets, node);
        port->locked.packet_count++;
    }
    iocp__port_unlock(port);
    iocp__nodes_drop(port, &back);
    if (self->kind == IOCP__POLLER)
        iocp__source_rearm(port);
}

/* The library's only cancellation point: `call` sleeps and holds nothing. */
#define CANCELLABLE(visit, result, call)                                       \
    do {                                                                       \
        int type_;                                                             \
        pthread_cleanup_push(abandon, visit);                                  \
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type_);            \
        pthread_testcancel();                                                  \
        (result) = (call);                                                     \
        pthread_setcanceltype(type_, NULL);                                    \
        pthread_cleanup_pop(0);                                                \
    } while (0)

static int spin_in_poller(struct iocp_port *port, struct epoll_event *events)
{
    int64_t end_ns = iocp__now_ns() + port->spin_ns;
    int count;

    do {
        count = iocp__sys_epoll_wait(port->epoll, events, EVENTS, 0);
        /* Relaxed: looked at again under the lock before a sleep. */
    } while (
        !count &&
        !atomic_load_explicit(&port->reserved_hint, memory_order_relaxed) &&
        !atomic_load_explicit(&port->closed_hint, memory_order_relaxed) &&
        iocp__now_ns() < end_ns);
    return count;
}

/* Spin; true when there is reason not to sleep. Until the port's lock is
 * taken again this thread stays the spinner, so that no kick is wasted. */
static bool spun_in_poller(struct visit *visit, struct epoll_event *events,
                           int *ret_count)
{
    struct iocp_port *port = visit->port;

    *ret_count = spin_in_poller(port, events);
    if (*ret_count)
        return true;
    iocp__port_lock(port);
    if (!port->locked.reserved_count && !port->locked.closed)
        spin_end_locked(port, visit, false);
    iocp__port_unlock(port);
    return visit->spinning;
}

/* Asleep among the pollers; the events that came, 0 when time is up. */
static int sleep_in_poller(struct visit *visit, struct epoll_event *events)
{
    int count = 0;

    if (visit->spinning && spun_in_poller(visit, events, &count))
        return count;
    CANCELLABLE(visit, count,
                iocp__sys_epoll_wait(visit->port->epoll, events, EVENTS,
                                     visit->deadline_ns));
    if (!count)
        visit->expired = iocp__now_ns() >= visit->deadline_ns;
    return count;
}

static struct iocp__node *park_in_poller(struct iocp_port *port,
                                         struct visit *visit)
    IOCP__REQUIRES(port->lock)
{
    struct iocp__worker *self = visit->self;
    struct iocp__harvest harvest = {0};
    struct epoll_event events[EVENTS];
    int count;

    spin_begin_locked(port, visit);
    iocp__port_unlock(port);
    count = sleep_in_poller(visit, events);
    iocp__source_note(port, events, count, &harvest);
    iocp__port_lock(port);
    spin_end_locked(port, visit, count == 1 || port->locked.reserved_count);
    visit->harvested = true;
    port->locked.since_harvest = 0;
    port->locked.harvests++;
    iocp__waiter_remove_locked(port, self);
    iocp__harvest_absorb_locked(port, &harvest);
    if (port->locked.reserved_count) {
        self->counted = true; /* by the releaser, in running */
        return iocp__reserved_pop_locked(port);
    }
    iocp__release_newer_locked(port, self->arrival);
    return NULL;
}

static bool spin_on_word(struct visit *visit)
{
    int64_t end_ns = iocp__now_ns() + visit->port->spin_ns;

    do {
        for (unsigned i = 0; i < 32; i++) {
            /* Acquire: pairs with wake(), the slot is there. */
            if (atomic_load_explicit(&visit->self->word,
                                     memory_order_acquire) == 1)
                return true;
            iocp__cpu_relax();
        }
    } while (iocp__now_ns() < end_ns);
    return false;
}

static int sleep_on_word(struct visit *visit)
{
    struct iocp__worker *self = visit->self;
    uint32_t zero = 0;
    int error = 0;

    if (visit->spinning) {
        if (spin_on_word(visit))
            return 0;
        /* Who sleeps is no spinner: somebody may wait for the kick that a
         * spinner makes needless. */
        iocp__port_lock(visit->port);
        spin_end_locked(visit->port, visit, false);
        iocp__port_unlock(visit->port);
    }
    if (!atomic_compare_exchange_strong_explicit(
            &self->word, &zero, 2, memory_order_acquire, memory_order_acquire))
        return 0;
    while (error != -ETIMEDOUT &&
           atomic_load_explicit(&self->word, memory_order_acquire) == 2)
        CANCELLABLE(visit, error,
                    iocp__sys_futex_wait(&self->word, 2, visit->deadline_ns));
    return error;
}

static struct iocp__node *park_on_futex(struct iocp_port *port,
                                        struct visit *visit)
    IOCP__REQUIRES(port->lock)
{
    struct iocp__worker *self = visit->self;
    struct iocp__node *node;
    int error;

    if (!port->locked.polled)
        spin_begin_locked(port, visit);
    iocp__port_unlock(port);
    error = sleep_on_word(visit);
    iocp__port_lock(port);
    spin_end_locked(port, visit, true);
    /* A slot that is full means released, also when time was up first. */
    iocp__waiter_remove_locked(port, self);
    node = self->slot;
    self->slot = NULL;
    port->locked.promoting = false;
    visit->expired = error == -ETIMEDOUT;
    return node;
}

/* Stop running, wait; what this thread was released with, or NULL. */
static struct iocp__node *park_locked(struct iocp_port *port,
                                      struct visit *visit)
    IOCP__REQUIRES(port->lock)
{
    struct iocp__worker *self = visit->self;

    if (!visit->deadline_ns)
        visit->deadline_ns = iocp__deadline_ns(visit->timeout_ns);
    iocp__count_out_locked(port, self);
    self->kind = port->locked.polled && port->locked.running < port->concurrency
                     ? IOCP__POLLER
                     : IOCP__FUTEX;
    /* Relaxed: before the lock is dropped nobody knows this waiter. A late
     * wake of an earlier park makes this one return in vain. */
    atomic_store_explicit(&self->word, 0, memory_order_relaxed);
    iocp__waiter_insert_locked(port, self);
    return self->kind == IOCP__POLLER ? park_in_poller(port, visit)
                                      : park_on_futex(port, visit);
}

/* Take `node` (or the head) and what follows, as far as there is room:
 * either packets, whose number is returned, or READY nodes. */
static int take_locked(struct iocp_port *port, struct visit *visit,
                       struct iocp__node *node, struct iocp__list *ready)
    IOCP__REQUIRES(port->lock)
{
    unsigned limit =
        visit->capacity < RUN_AT_ONCE ? visit->capacity : RUN_AT_ONCE;
    bool runs;
    unsigned taken = 0;

    if (!node)
        node = iocp__packets_pop_locked(port);
    runs = node->kind == IOCP__READY;
    for (;;) {
        if (runs)
            iocp__list_append(ready, node);
        else
            iocp__packet_take_locked(port, node, &visit->packets[taken]);
        taken++;
        node = port->locked.packets.head;
        if (taken == (runs ? limit : visit->capacity) || !node ||
            (node->kind == IOCP__READY) != runs)
            return runs ? 0 : (int)taken;
        node = iocp__packets_pop_locked(port);
    }
}

/* Wait until there is something for this thread: see take_locked(). */
static int dequeue_locked(struct iocp_port *port, struct visit *visit,
                          struct iocp__list *ready) IOCP__REQUIRES(port->lock)
{
    struct iocp__worker *self = visit->self;
    struct iocp__node *node = NULL;

    self->blocks = 0;
    for (;;) {
        if (port->locked.closed && !node) {
            iocp__count_out_locked(port, self);
            return -ESHUTDOWN;
        }
        if (!node && harvest_due_locked(port, visit)) {
            harvest_now_locked(port, visit);
            continue;
        }
        if (node || (!iocp__list_empty(&port->locked.packets) &&
                     iocp__may_run_locked(port, self))) {
            iocp__count_in_locked(port, self);
            return take_locked(port, visit, node, ready);
        }
        if (visit->timeout_ns == 0 || visit->expired) {
            iocp__count_in_locked(port, self); /* N6 */
            return -ETIMEDOUT;
        }
        node = park_locked(port, visit);
    }
}

static int run_ready(struct visit *visit, struct iocp__list *ready)
{
    struct iocp__node *node;
    int count = 0;

    while ((node = iocp__list_pop(ready)))
        count += iocp__source_run(node, &visit->packets[count]);
    return count;
}

static int wait_for_packets(struct visit *visit)
{
    struct iocp_port *port = visit->port;
    int count;

    visit->self->arrival = 0;
    do {
        struct iocp__list ready = {0};

        iocp__port_lock(port);
        count = dequeue_locked(port, visit, &ready);
        iocp__port_unlock(port);
        if (count == -ESHUTDOWN)
            iocp__worker_leave(visit->self);
        if (!count)
            count = run_ready(visit, &ready);
    } while (!count);
    return count;
}

int iocp_port_wait_many(struct iocp_port *port, struct iocp_packet *ret_packets,
                        unsigned capacity, int64_t timeout_ns)
{
    struct visit visit = {.port = port,
                          .packets = ret_packets,
                          .capacity = capacity,
                          .timeout_ns = timeout_ns};

    if (!iocp__port_here(port))
        return -ECHILD;
    if (!capacity || capacity > INT_MAX)
        return -EINVAL;
    visit.self = iocp__worker_join(port);
    if (!visit.self)
        return -ENOMEM;
    return wait_for_packets(&visit);
}

int iocp_port_wait(struct iocp_port *port, struct iocp_packet *ret_packet,
                   int64_t timeout_ns)
{
    int count = iocp_port_wait_many(port, ret_packet, 1, timeout_ns);

    return count < 0 ? count : 0;
}
