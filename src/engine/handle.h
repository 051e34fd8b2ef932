/*
 * A handle: a descriptor, its two queues of started operations, and what is
 * known of its readiness. Handles live in a table (table.h) whose memory
 * keeps its type, so that an event that comes late finds a handle, takes
 * its lock and sees by the generation that it is for nobody.
 *
 * A direction has one driver at a time (`busy`): it alone makes system calls
 * for it, without the lock, and it stays until the packets of what it has
 * completed are queued, or a later completion could overtake them.
 * `current` is the operation inside such a call; whoever wants to end that
 * one marks it and leaves the rest to the driver, any other one he unlinks.
 *
 * Readiness is cleared before the call and set by an event at any time, so
 * an edge that falls into the call is never lost.
 */
#ifndef IOCP_ENGINE_HANDLE_H
#define IOCP_ENGINE_HANDLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include <iocp/handle.h>
#include <iocp/op.h>

#include "base/list.h"
#include "base/mutex.h"
#include "base/op_state.h"
#include "port/port.h"

struct iocp__direction {
    struct iocp__list ops;   /* pending, in the order of their starts */
    struct iocp_op *current; /* inside a system call */
    bool ready;              /* a call may get something done */
    bool told;               /* and that is an event's word */
    bool fresh;              /* `told` as the driver's call began; his */
    bool busy;               /* has a driver */
    bool shut;               /* new operations get -EPIPE */
};

struct iocp_handle {
    struct iocp_port *port; /* immutable while open */
    struct iocp__node node; /* in the port's queue while `queued` */
    struct iocp__mutex lock;
    uint32_t slot; /* immutable: where it lives in the table */

    /* All below guarded by lock; `fd` also by being pinned. */
    uintptr_t key;
    int fd; /* -1: empty */
    uint32_t generation;
    unsigned owners; /* 0: closed */
    unsigned pins;   /* threads that will come back to this handle */
    struct iocp__direction in, out;
    struct iocp_op *acceptor; /* the accept that will fill this handle */
    uint16_t family, type, protocol;
    bool alive;      /* taken from the table, and not yet given back */
    bool skip;       /* IOCP_SKIP_ON_SUCCESS */
    bool registered; /* in the epoll set */
    bool ended;      /* RDHUP, HUP or ERR was seen: reads never block */
    bool reset;      /* the peer has reset; Linux says so only once */
    bool queued;     /* `node` is in the port's queue, or on its way */
    bool connecting;
    bool connected;  /* for sure; changed by the out direction's driver */
    bool moves;      /* operations of it may have gone on elsewhere */
    bool shut_later; /* SHUT_WR once the pending sends are done */
};

/* How an attempt at an operation came out. */
enum iocp__outcome {
    IOCP__AGAIN,      /* would block */
    IOCP__DONE,       /* op->status is set; all there was is taken */
    IOCP__DONE_READY, /* the same, and the next call may succeed too */
    IOCP__YIELD,      /* not done, but enough for one turn */
    IOCP__MOVED,      /* it goes on on another handle */
};

/* What can be started, a constant for each verb; defined in src/op/. */
struct iocp__verb {
    bool out;         /* which direction it waits for */
    bool connects;    /* wants no connection, and makes one */
    bool disconnects; /* ends the out direction; after its end, too */
    /* Make the call. Without a lock; the handle is pinned. */
    enum iocp__outcome (*attempt)(struct iocp_handle *, struct iocp_op *);
    /* It has ended, however, or was not accepted after an attempt. Without
     * a lock; before its packet is queued. */
    void (*ended)(struct iocp_handle *, struct iocp_op *);
    /* After MOVED, without a lock. */
    void (*moved)(struct iocp_op *);
};

static inline void iocp__handle_lock(struct iocp_handle *handle)
    IOCP__ACQUIRES(handle->lock)
{
    iocp__mutex_lock(&handle->lock);
}

static inline void iocp__handle_unlock(struct iocp_handle *handle)
    IOCP__RELEASES(handle->lock)
{
    iocp__mutex_unlock(&handle->lock);
}

static inline struct iocp_op *iocp__op_of(struct iocp__node *node)
{
    return IOCP__CONTAINER(node, struct iocp_op, own.node);
}

static inline bool iocp__handle_is_stream(const struct iocp_handle *handle)
{
    return handle->type == SOCK_STREAM;
}

/* What the epoll set knows of a handle: slot + generation, no pointer. */
#define IOCP__HANDLE_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)
static inline uint64_t
iocp__handle_data_locked(const struct iocp_handle *handle)
{
    return (uint64_t)handle->generation << 32 | handle->slot;
}

/* handle.c */
/* A new handle with one owner; its kind as that of `like`, or looked up. */
int iocp__handle_make(struct iocp_port *port, int fd,
                      const struct iocp_handle *like,
                      struct iocp_handle **ret_handle);
int iocp__handle_register_locked(struct iocp_handle *handle)
    IOCP__REQUIRES(handle->lock);
void iocp__handle_unregister_locked(struct iocp_handle *handle)
    IOCP__REQUIRES(handle->lock);
/* Give the handle a fresh descriptor that was claimed for it, or -1. */
void iocp__handle_adopt_locked(struct iocp_handle *handle, int fd)
    IOCP__REQUIRES(handle->lock);
/* The handle is empty from now on; its descriptor is closed. */
void iocp__handle_empty_locked(struct iocp_handle *handle)
    IOCP__REQUIRES(handle->lock);
/* Unlock; when nothing holds a closed handle any more, that is its end. */
void iocp__handle_unpin(struct iocp_handle *handle)
    IOCP__RELEASES(handle->lock);

/* descriptor.c: the numbers that are some handle's in this process. */
bool iocp__descriptor_claim(int fd);
void iocp__descriptor_yield(int fd);

/* drive.c */
int iocp__start(struct iocp_handle *handle, struct iocp_op *op,
                const struct iocp__verb *verb);
/* An operation that came from another handle goes on here. */
void iocp__resume(struct iocp_handle *handle, struct iocp_op *op,
                  const struct iocp__verb *verb);
/* Do now what waits for the out direction. */
void iocp__drive_out_locked(struct iocp_handle *handle)
    IOCP__REQUIRES(handle->lock);
/* At most one operation of the in direction; true: its packet is given. */
bool iocp__drive_one_in_locked(struct iocp_handle *handle,
                               struct iocp_packet *ret_packet)
    IOCP__REQUIRES(handle->lock);
/* There is something to do and nobody knows: a READY node has to be queued,
 * and `queued` is set for it. */
bool iocp__wants_turn_locked(struct iocp_handle *handle)
    IOCP__REQUIRES(handle->lock);
/* Queue it if so, then unlock and unpin. */
void iocp__handle_leave(struct iocp_handle *handle)
    IOCP__RELEASES(handle->lock);

/* ending.c: ends that nobody's system call brought. */
/* Unlink a pending operation that is done or ended. */
void iocp__op_finish_locked(struct iocp_handle *handle,
                            struct iocp__direction *direction,
                            struct iocp_op *op) IOCP__REQUIRES(handle->lock);
/* Queue the packets of finished operations. No lock held, handle pinned. */
void iocp__ops_deliver(struct iocp_handle *handle, struct iocp__list *ended);
/* End `op` if it is pending on `handle`: that alone may be looked into. */
bool iocp__end_linked(struct iocp_handle *handle, const struct iocp_op *op,
                      enum iocp__op_state how);
/* End all that is pending in one direction; how many. */
unsigned iocp__end_direction_locked(struct iocp_handle *handle,
                                    struct iocp__direction *direction,
                                    struct iocp__list *ended)
    IOCP__REQUIRES(handle->lock);
/* End what began on a listener and went on elsewhere; `op` NULL: all. */
unsigned iocp__end_moved(struct iocp_handle *origin, const struct iocp_op *op);

#endif
