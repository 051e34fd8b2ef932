/*
 * The exchange: what a connection borrows from the first byte of a request
 * to the last byte of its answer. An idle connection has none.
 *
 * It belongs to the connection, and so to the one worker that runs it; while
 * an operation is in flight its buffers belong to the library.
 */
#ifndef FIRE_EXCHANGE_H
#define FIRE_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <iocp.h>

#include "head.h"

struct file;
struct worker;

#define EXCHANGE_VECTORS 5
#define EXCHANGE_OUT 1024

struct exchange {
    struct exchange *next; /* in a worker's pool */

    /* The request. Bytes start..end of `in` are not answered yet. */
    struct head head; /* of what begins at `start` */
    unsigned start, end;
    uint64_t skip;    /* bytes of a body to throw away before `start` */
    int64_t until_ns; /* by when the head, or the drain, must be over */

    /* The answer. */
    unsigned status;
    bool keep;     /* the connection is kept after it */
    bool lingers;  /* else: the peer may still be sending, so drain first */
    uint64_t sent; /* bytes, of head and body */
    uint64_t head_bytes;
    struct file *file; /* a reference, held until all is sent */

    /* What is to be sent: a part of a file behind a head, or vectors. */
    struct iocp_transmit transmit; /* when transmit.file is not -1 */
    unsigned vectors;
    struct iovec vector[EXCHANGE_VECTORS];

    char out[EXCHANGE_OUT];
    char in[HEAD_MAX]; /* last: most of it is never touched */
};

/* Borrow one from the worker's pool; NULL when there is no memory. */
struct exchange *exchange_take(struct worker *worker);
void exchange_give(struct worker *worker, struct exchange *exchange);

/* Free the worker's pool. */
void exchange_free_pool(struct worker *worker);

/* Forget the request and its answer; what came behind them stays. */
void exchange_next(struct exchange *exchange);

/* Take what was sent off what is to be sent. */
void exchange_advance(struct exchange *exchange, size_t bytes);

static inline const char *exchange_slice(const struct exchange *exchange,
                                         struct head_slice slice)
{
    return exchange->in + exchange->start + slice.start;
}

#endif
