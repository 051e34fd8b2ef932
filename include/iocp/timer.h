/* Timers as packets: an operation without a handle. */
#ifndef IOCP_TIMER_H
#define IOCP_TIMER_H

#include <stdint.h>

#include <iocp/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iocp_port;

/*
 * Queue a packet with `key`, `op` and status 0 once `after_ns` have passed
 * (0 or less: at once). It fires also while every worker is busy in a
 * handler. For a periodic timer start it again from its handler.
 * Returns 0: accepted, one packet follows; -EBUSY, -ENOMEM, -ESHUTDOWN, or
 * -EAGAIN (no thread for the port's watcher).
 */
int iocp_timer_start(struct iocp_port *port, struct iocp_op *op, uintptr_t key,
                     int64_t after_ns);

/*
 * Ask that a timer ends now; its packet comes with -ECANCELED.
 * Returns 0, or -ENOENT when `op` is no pending timer of this port.
 */
int iocp_timer_cancel(struct iocp_port *port, struct iocp_op *op);

#ifdef __cplusplus
}
#endif

#endif
