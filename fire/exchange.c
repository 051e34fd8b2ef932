#include "exchange.h"

#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "worker.h"

/* A worker keeps this many for itself, warm; malloc has the rest. */
#define POOL_MAX 32

struct exchange *exchange_take(struct worker *worker)
{
    struct exchange *exchange = worker->exchanges;

    if (exchange) {
        worker->exchanges = exchange->next;
        worker->exchange_count--;
    } else {
        exchange = malloc(sizeof(*exchange));
        if (!exchange)
            return NULL;
    }
    memset(exchange, 0, offsetof(struct exchange, out));
    exchange->transmit.file = -1;
    return exchange;
}

void exchange_give(struct worker *worker, struct exchange *exchange)
{
    if (exchange->file)
        file_release(exchange->file);
    if (worker->exchange_count == POOL_MAX) {
        free(exchange);
        return;
    }
    exchange->next = worker->exchanges;
    worker->exchanges = exchange;
    worker->exchange_count++;
}

void exchange_free_pool(struct worker *worker)
{
    while (worker->exchanges) {
        struct exchange *exchange = worker->exchanges;

        worker->exchanges = exchange->next;
        free(exchange);
    }
    worker->exchange_count = 0;
}

void exchange_next(struct exchange *exchange)
{
    if (exchange->file)
        file_release(exchange->file);
    exchange->file = NULL;
    exchange->start += exchange->head.size;
    memset(&exchange->head, 0, sizeof(exchange->head));
    exchange->until_ns = 0;
    exchange->sent = 0;
    exchange->transmit.file = -1;
    exchange->vectors = 0;
}

static void advance_transmit(struct iocp_transmit *transmit, size_t bytes)
{
    size_t head = bytes < transmit->head_bytes ? bytes : transmit->head_bytes;

    transmit->head = (const char *)transmit->head + head;
    transmit->head_bytes -= head;
    transmit->file_offset += bytes - head;
    transmit->file_length -= bytes - head;
}

void exchange_advance(struct exchange *exchange, size_t bytes)
{
    unsigned gone = 0;

    if (exchange->transmit.file >= 0) {
        advance_transmit(&exchange->transmit, bytes);
        return;
    }
    while (gone < exchange->vectors && bytes >= exchange->vector[gone].iov_len)
        bytes -= exchange->vector[gone++].iov_len;
    exchange->vectors -= gone;
    memmove(exchange->vector, exchange->vector + gone,
            exchange->vectors * sizeof(exchange->vector[0]));
    if (exchange->vectors > 0) {
        exchange->vector[0].iov_base =
            (char *)exchange->vector[0].iov_base + bytes;
        exchange->vector[0].iov_len -= bytes;
    }
}
