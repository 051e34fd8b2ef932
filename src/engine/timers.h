/*
 * The deadlines of a port's operations, and its timers: a heap, the earliest
 * first, and one timerfd in the port's epoll set, so that whoever harvests
 * also fires what is due.
 *
 * The timerfd is only ever set earlier at once; an operation that ends
 * before its deadline leaves it as it is, and it then fires in vain once.
 * So a deadline that is renewed with each request costs no system call.
 */
#ifndef IOCP_ENGINE_TIMERS_H
#define IOCP_ENGINE_TIMERS_H

#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"

struct iocp_op;
struct iocp_port;

struct iocp__alarm {
    int64_t at_ns;
    struct iocp_op *op; /* pending; its own.timer is the index here + 1 */
};

struct iocp__timers {
    struct iocp__mutex lock;
    struct { /* all guarded by lock */
        struct iocp__alarm *heap;
        unsigned count, capacity;
        int fd;         /* -1 until the first is armed */
        int64_t set_ns; /* when the timerfd fires; IOCP__NEVER: not */
        bool closed;
    } locked;
};

/* Under the handle's lock. Returns 0 or a negative errno. */
int iocp__deadline_arm(struct iocp_port *port, struct iocp_op *op);
void iocp__deadline_disarm(struct iocp_port *port, struct iocp_op *op);

/* The timerfd has fired: end what is due. No lock held. */
void iocp__timers_run(struct iocp_port *port);
/* The port is closed: timers end without a packet. */
void iocp__timers_close(struct iocp_port *port);

/* A timer: an operation with no handle, all under the timers' lock. */
int iocp__timer_start(struct iocp_port *port, struct iocp_op *op,
                      int64_t at_ns);
bool iocp__timer_end(struct iocp_port *port, struct iocp_op *op);

#endif
