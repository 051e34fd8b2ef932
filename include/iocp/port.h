/*
 * The completion port: one queue for a pool of threads.
 *
 * Source: "I/O Completion Ports", CreateIoCompletionPort,
 * GetQueuedCompletionStatus(Ex), PostQueuedCompletionStatus (Microsoft
 * Learn).
 */
#ifndef IOCP_PORT_H
#define IOCP_PORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct iocp_port;

/* Any negative time-out waits for ever; this one says so. */
#define IOCP_INFINITE INT64_C(-1)

/*
 * What a port queues. For a completed operation: the key of its handle, the
 * struct iocp_op that was started, the bytes that were transferred and 0 or
 * a negative errno. A posted packet carries four values of the poster's
 * choice that the library never looks at.
 */
struct iocp_packet {
    uintptr_t key;
    void *op;
    size_t bytes;
    int status;
};

/*
 * Create a port. At most `concurrency` of the threads that take packets from
 * it run at once; 0 means the number of processors that this process may
 * use. The caller owns one reference, given back by iocp_port_release().
 * Returns 0, -EINVAL (concurrency above INT_MAX), -ENOMEM, -EMFILE or
 * -ENFILE.
 */
int iocp_port_create(unsigned concurrency, struct iocp_port **ret_port);

/* The concurrency value: fixed at creation, never 0. */
unsigned iocp_port_concurrency(const struct iocp_port *port);

/*
 * Take one packet: the oldest queued one, at once if fewer than N other
 * threads run, else when this thread is released; the newest waiter is
 * released first. 0 polls. The calling thread joins the port at its first
 * call and counts as running from each return to its next call here.
 *
 * Returns 0 when a packet was dequeued, whatever the operation's own
 * outcome, which is packet.status; -ETIMEDOUT with nothing dequeued;
 * -ESHUTDOWN when the port is closed, also while waiting; -ENOMEM when the
 * thread could not join.
 *
 * The park inside is a cancellation point of pthread_cancel(3), and the
 * library's only one. A signal handler may run meanwhile; the wait goes on.
 */
int iocp_port_wait(struct iocp_port *port, struct iocp_packet *ret_packet,
                   int64_t timeout_ns);

/*
 * Take up to `capacity` packets, in queue order; waits only for the first.
 * Returns their number, at least 1, or the errors of iocp_port_wait(), or
 * -EINVAL for a capacity of 0 or above INT_MAX.
 */
int iocp_port_wait_many(struct iocp_port *port, struct iocp_packet *ret_packets,
                        unsigned capacity, int64_t timeout_ns);

/*
 * Queue a packet of the caller's; releases at most one waiter. Never blocks.
 * Returns 0, or -ENOMEM with nothing queued, or -ESHUTDOWN.
 */
int iocp_port_post(struct iocp_port *port, const struct iocp_packet *packet);

/*
 * The number of packets queued and not yet taken, ready operations whose
 * result is fetched by the thread that takes them included; a snapshot.
 * Returns it, or -ESHUTDOWN.
 */
int iocp_port_depth(struct iocp_port *port);

/*
 * A descriptor for poll(2), select(2) or epoll(7): readable whenever a wait
 * with time-out 0 might return a packet; it may be readable in vain. It is
 * the port's: never read, close or change it. A thread that waits there
 * instead of in iocp_port_wait() first calls iocp_port_leave().
 * Returns the descriptor, or -ESHUTDOWN.
 */
int iocp_port_fd(struct iocp_port *port);

/*
 * The calling thread gives up its place in the port, and no longer counts as
 * running, until its next wait. Returns 0, or -ENOENT when it has none.
 */
int iocp_port_leave(struct iocp_port *port);

/*
 * Close the port: every call on it, waiting or new, returns -ESHUTDOWN, and
 * so does every verb on its handles; queued packets that nobody took are
 * dropped. The handles stay open: close each of them too.
 * Returns 0, or -ESHUTDOWN when it was closed before.
 */
int iocp_port_close(struct iocp_port *port);

/*
 * Wait until no operation of the port's handles touches the caller's memory
 * any more: every handle is closed and the library has let go of it. The
 * port may be open or closed. Timers count as handles until they end.
 * Returns 0, -EBUSY while a handle is open, or -ETIMEDOUT.
 */
int iocp_port_drain(struct iocp_port *port, int64_t timeout_ns);

/* One more reference for the caller. Returns its argument. */
struct iocp_port *iocp_port_acquire(struct iocp_port *port);

/*
 * Give one reference back. The last one closes the port if it is open; its
 * memory lives on until its last handle is closed. NULL is allowed.
 */
void iocp_port_release(struct iocp_port *port);

/*
 * Bracket a region in which the calling thread, a worker of some port, is
 * about to block: until the end it does not count as running, so that
 * another thread may be released. At the end it counts again, even when the
 * count then exceeds N. Regions nest; a wait ends them all. Exact, and
 * almost free. A call from a thread of no port does nothing.
 * Both return 0; iocp_block_end() without a begin returns -EINVAL.
 */
int iocp_block_begin(void);
int iocp_block_end(void);

#ifdef __cplusplus
}
#endif

#endif
