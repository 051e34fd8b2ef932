#include "engine/timers.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/op_state.h"
#include "base/sys.h"
#include "engine/engine.h"
#include "engine/handle.h"

static struct iocp__timers *timers_of(struct iocp_port *port)
{
    return &port->engine->timers;
}

static void place(struct iocp__timers *timers, unsigned index,
                  struct iocp__alarm alarm)
{
    timers->locked.heap[index] = alarm;
    alarm.op->own.timer = index + 1;
}

static void sift_up(struct iocp__timers *timers, unsigned index,
                    struct iocp__alarm alarm)
{
    struct iocp__alarm *heap = timers->locked.heap;

    while (index && alarm.at_ns < heap[(index - 1) / 2].at_ns) {
        place(timers, index, heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    place(timers, index, alarm);
}

static void sift_down(struct iocp__timers *timers, unsigned index,
                      struct iocp__alarm alarm)
{
    struct iocp__alarm *heap = timers->locked.heap;
    unsigned child;

    while ((child = 2 * index + 1) < timers->locked.count) {
        if (child + 1 < timers->locked.count &&
            heap[child + 1].at_ns < heap[child].at_ns)
            child++;
        if (alarm.at_ns <= heap[child].at_ns)
            break;
        place(timers, index, heap[child]);
        index = child;
    }
    place(timers, index, alarm);
}

static int reserve_locked(struct iocp__timers *timers)
{
    unsigned capacity = timers->locked.capacity;
    struct iocp__alarm *heap;

    if (timers->locked.count < capacity)
        return 0;
    capacity = capacity ? 2 * capacity : 64;
    heap = realloc(timers->locked.heap, capacity * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    timers->locked.heap = heap;
    timers->locked.capacity = capacity;
    return 0;
}

/* Made when the first deadline comes: most ports have none. */
static int open_fd_locked(struct iocp_port *port, struct iocp__timers *timers)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET,
                                .data.u64 = IOCP__TIMER_EVENT};
    int fd, error;

    if (timers->locked.fd >= 0)
        return 0;
    fd = iocp__sys_timerfd();
    if (fd < 0)
        return fd;
    error = iocp__sys_epoll_ctl(port->epoll, EPOLL_CTL_ADD, fd, &event);
    if (error)
        iocp__sys_close(fd);
    else
        timers->locked.fd = fd;
    return error;
}

static int insert_locked(struct iocp_port *port, struct iocp__timers *timers,
                         struct iocp_op *op, int64_t at_ns)
{
    int error = open_fd_locked(port, timers);

    if (!error)
        error = reserve_locked(timers);
    if (!error && at_ns < timers->locked.set_ns)
        error = iocp__sys_timerfd_set(timers->locked.fd, at_ns);
    if (error)
        return error;
    if (at_ns < timers->locked.set_ns)
        timers->locked.set_ns = at_ns;
    sift_up(timers, timers->locked.count++,
            (struct iocp__alarm){.at_ns = at_ns, .op = op});
    return 0;
}

static void remove_locked(struct iocp__timers *timers, struct iocp_op *op)
{
    unsigned index = op->own.timer - 1;
    struct iocp__alarm last = timers->locked.heap[--timers->locked.count];

    op->own.timer = 0;
    if (last.op == op)
        return;
    if (index && last.at_ns < timers->locked.heap[(index - 1) / 2].at_ns)
        sift_up(timers, index, last);
    else
        sift_down(timers, index, last);
}

int iocp__deadline_arm(struct iocp_port *port, struct iocp_op *op)
{
    struct iocp__timers *timers = timers_of(port);
    int error;

    iocp__mutex_lock(&timers->lock);
    /* One that moved to another handle keeps the deadline that it has. */
    error = op->own.timer
                ? 0
                : insert_locked(port, timers, op,
                                iocp__deadline_ns(op->own.timeout_ns));
    iocp__mutex_unlock(&timers->lock);
    return error;
}

void iocp__deadline_disarm(struct iocp_port *port, struct iocp_op *op)
{
    struct iocp__timers *timers = timers_of(port);

    iocp__mutex_lock(&timers->lock);
    if (op->own.timer)
        remove_locked(timers, op);
    iocp__mutex_unlock(&timers->lock);
}

/* A timer is done: its packet is on `done`. */
static void finish_timer_locked(struct iocp__timers *timers, struct iocp_op *op,
                                int status, struct iocp__list *done)
{
    remove_locked(timers, op);
    op->status = status;
    iocp__op_set_state(op, IOCP__OP_QUEUED);
    iocp__list_append(done, &op->own.node);
}

/*
 * The next operation that is due and has a handle, with that handle; timers
 * on the way are finished. NULL: none, and the timerfd is set to the next.
 */
static const struct iocp_op *next_due_locked(struct iocp__timers *timers,
                                             struct iocp_handle **ret_handle,
                                             struct iocp__list *done)
{
    int64_t now_ns = iocp__now_ns();

    while (timers->locked.count && timers->locked.heap[0].at_ns <= now_ns) {
        struct iocp_op *op = timers->locked.heap[0].op;

        *ret_handle = __atomic_load_n(&op->own.handle, __ATOMIC_RELAXED);
        if (*ret_handle)
            return op;
        finish_timer_locked(timers, op, 0, done);
    }
    timers->locked.set_ns = IOCP__NEVER;
    if (timers->locked.count &&
        !iocp__sys_timerfd_set(timers->locked.fd, timers->locked.heap[0].at_ns))
        timers->locked.set_ns = timers->locked.heap[0].at_ns;
    return NULL;
}

/* Queue the packets of timers that are done. */
static void deliver(struct iocp_port *port, struct iocp__list *done)
{
    unsigned count = 0;

    for (struct iocp__node *node = done->head; node; node = node->next)
        count++;
    if (!count)
        return;
    iocp__port_enqueue(port, done, count);
    while (count--) {
        iocp__port_live_closed(port);
        iocp__port_live_gone(port);
    }
}

void iocp__timers_run(struct iocp_port *port)
{
    struct iocp__timers *timers = timers_of(port);
    const struct iocp_op *due;

    do {
        struct iocp__list done = {0};
        struct iocp_handle *handle = NULL;

        iocp__mutex_lock(&timers->lock);
        due = next_due_locked(timers, &handle, &done);
        iocp__mutex_unlock(&timers->lock);
        deliver(port, &done);
        /* It may end otherwise meanwhile: then it is not found there, and
         * not due any more at the next look. */
        if (due)
            iocp__end_linked(handle, due, IOCP__OP_EXPIRING);
    } while (due);
}

int iocp__timer_start(struct iocp_port *port, struct iocp_op *op, int64_t at_ns)
{
    struct iocp__timers *timers = timers_of(port);
    int error;

    iocp__mutex_lock(&timers->lock);
    iocp__op_set_state(op, IOCP__OP_PENDING);
    error = timers->locked.closed ? -ESHUTDOWN
                                  : insert_locked(port, timers, op, at_ns);
    if (error)
        iocp__op_set_state(op, IOCP__OP_IDLE);
    else
        iocp__port_live_add(port);
    iocp__mutex_unlock(&timers->lock);
    return error;
}

/* By address, as what is not in the heap may be no operation any more. */
static bool is_armed_locked(const struct iocp__timers *timers,
                            const struct iocp_op *op)
{
    unsigned index = op->own.timer - 1;

    return index < timers->locked.count &&
           timers->locked.heap[index].op == op &&
           !__atomic_load_n(&op->own.handle, __ATOMIC_RELAXED);
}

bool iocp__timer_end(struct iocp_port *port, struct iocp_op *op)
{
    struct iocp__timers *timers = timers_of(port);
    struct iocp__list done = {0};

    iocp__mutex_lock(&timers->lock);
    if (is_armed_locked(timers, op))
        finish_timer_locked(timers, op, -ECANCELED, &done);
    iocp__mutex_unlock(&timers->lock);
    if (!done.head)
        return false;
    deliver(port, &done);
    return true;
}

void iocp__timers_close(struct iocp_port *port)
{
    struct iocp__timers *timers = timers_of(port);
    struct iocp__list done = {0};

    iocp__mutex_lock(&timers->lock);
    timers->locked.closed = true;
    /* The last first: nothing has to take its place. */
    while (timers->locked.count) {
        struct iocp_op *op = timers->locked.heap[timers->locked.count - 1].op;

        if (__atomic_load_n(&op->own.handle, __ATOMIC_RELAXED))
            remove_locked(timers, op);
        else
            finish_timer_locked(timers, op, -ECANCELED, &done);
    }
    iocp__mutex_unlock(&timers->lock);
    deliver(port, &done); /* to a closed port: dropped */
}
