#include "connection.h"

#include <errno.h>
#include <string.h>

#include "exchange.h"
#include "listen.h"
#include "log.h"
#include "options.h"
#include "peer.h"
#include "pool.h"
#include "request.h"
#include "server.h"
#include "worker.h"

/* Steps in one go before other connections have their turn. */
#define STEPS_MAX 64

/* How often a send that makes no progress is looked at. */
#define SEND_LOOK_NS (15 * NS_PER_S)

/* While draining pool_wake() has a look at every send; so many looks in a
 * row without progress, some three seconds, end it. */
#define STALLS_MAX 60

/* How long a peer that was told to go may still send. */
#define DRAIN_NS (2 * NS_PER_S)

/*
 * The functions below that start an operation return what its verb returned;
 * so does every function that ends with one of them, and connection_run()
 * goes on from there. 0 also says that the connection went back to the pool.
 */

static struct iocp_handle *handle_of(const struct connection *connection)
{
    return atomic_load_explicit(&connection->handle, memory_order_relaxed);
}

int connection_accept(struct connection *connection, struct listener *listener,
                      unsigned number)
{
    connection->state = WAIT_ACCEPT;
    connection->listener = (uint8_t)number;
    connection->peer_size = sizeof(connection->peer);
    iocp_op_set_deadline(&connection->op, 0);
    return iocp_accept(listener->handle, &connection->op, handle_of(connection),
                       NULL, 0, (struct sockaddr *)&connection->peer,
                       &connection->peer_size);
}

/* Back to the pool; any listener that lacks an accept may have it. */
static int leave(struct worker *worker, struct connection *connection)
{
    pool_give(worker->server->pool, connection);
    listener_fill(worker->server);
    return 0;
}

/* End the connection now. */
static int reset(struct worker *worker, struct connection *connection)
{
    if (connection->exchange)
        exchange_give(worker, connection->exchange);
    connection->exchange = NULL;
    connection->state = WAIT_RESET;
    iocp_op_set_deadline(&connection->op, 0);
    return iocp_disconnect(handle_of(connection), &connection->op, IOCP_REUSE);
}

/* Idle: without a buffer, wait until there is something to receive. */
static int await_request(struct worker *worker, struct connection *connection)
{
    const struct options *options = worker->server->options;

    if (connection->exchange)
        exchange_give(worker, connection->exchange);
    connection->exchange = NULL;
    if (server_phase(worker->server) != SERVER_RUNNING)
        return reset(worker, connection);
    connection->state = WAIT_REQUEST;
    iocp_op_set_deadline(&connection->op, connection->is_new
                                              ? options->header_timeout_ns
                                              : options->idle_timeout_ns);
    return iocp_recv(handle_of(connection), &connection->op, NULL, 0,
                     IOCP_RECV_HINT);
}

static int receive(struct connection *connection, int64_t timeout_ns)
{
    struct exchange *exchange = connection->exchange;

    iocp_op_set_deadline(&connection->op, timeout_ns);
    return iocp_recv(handle_of(connection), &connection->op,
                     exchange->in + exchange->end,
                     sizeof(exchange->in) - exchange->end, 0);
}

/* The whole head must come within its time. */
static int receive_request(struct worker *worker, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    int64_t timeout_ns = worker->server->options->header_timeout_ns;
    int64_t now_ns;

    connection->state = WAIT_REQUEST;
    /* Nearly always the head is there as a whole: no need for the clock. */
    if (exchange->end == 0)
        return receive(connection, timeout_ns);
    now_ns = date_now_ns();
    if (exchange->until_ns == 0)
        exchange->until_ns = now_ns + timeout_ns;
    timeout_ns = exchange->until_ns - now_ns;
    return receive(connection, timeout_ns > 0 ? timeout_ns : 1);
}

static int transmit(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;

    connection->state = WAIT_TRANSMIT;
    iocp_op_set_deadline(&connection->op, SEND_LOOK_NS);
    if (exchange->transmit.file >= 0)
        return iocp_transmit_file(handle_of(connection), &connection->op,
                                  &exchange->transmit, 0);
    return iocp_sendv(handle_of(connection), &connection->op, exchange->vector,
                      exchange->vectors, 0);
}

/*
 * Close without losing the answer: a close while the peer still sends
 * would reset the connection (RFC 9112, 9.6). So tell it that no more comes,
 * and throw away what it sends, for a while.
 */
static int drain(struct connection *connection)
{
    struct exchange *exchange = connection->exchange;

    connection->state = WAIT_RESET;
    exchange->until_ns = date_now_ns() + DRAIN_NS;
    exchange->end = 0;
    iocp_shutdown(handle_of(connection), SHUT_WR);
    return receive(connection, DRAIN_NS);
}

/* Throw away what there is of the last request's body. */
static void skip_body(struct exchange *exchange)
{
    unsigned there = exchange->end - exchange->start;
    unsigned skipped =
        exchange->skip < there ? (unsigned)exchange->skip : there;

    exchange->start += skipped;
    exchange->skip -= skipped;
}

/* Move what was received to the front, to have room behind it. */
static void compact(struct exchange *exchange)
{
    if (exchange->start == 0)
        return;
    memmove(exchange->in, exchange->in + exchange->start,
            exchange->end - exchange->start);
    exchange->end -= exchange->start;
    exchange->start = 0;
}

/* Answer the next request, or get the rest of it. */
static int proceed(struct worker *worker, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;

    skip_body(exchange);
    if (exchange->start == exchange->end && exchange->skip == 0)
        return await_request(worker, connection);
    if (head_read(&exchange->head, exchange->in + exchange->start,
                  exchange->end - exchange->start) == HEAD_MORE) {
        compact(exchange);
        return receive_request(worker, connection);
    }
    connection->is_new = false;
    request_answer(worker, exchange);
    return transmit(connection);
}

static int on_accepted(struct worker *worker, struct connection *connection)
{
    int status = connection->op.status;
    unsigned number = connection->listener;

    if (status != 0)
        pool_give(worker->server->pool, connection);
    listener_accepted(worker->server, number, status);
    if (status != 0)
        return 0;
    connection->is_new = true;
    connection->stalls = 0;
    return await_request(worker, connection);
}

/* The wait for a request's first byte has ended. */
static int on_awaited(struct worker *worker, struct connection *connection)
{
    int status = connection->op.status;

    /* It has not taken the last answer yet, so it is not idle. */
    if (status == -ETIMEDOUT && !connection->is_new) {
        int fd = iocp_handle_fd(handle_of(connection));

        if (peer_is_behind(fd) && peer_is_alive(fd))
            return await_request(worker, connection);
    }
    if (status != 0 || connection->op.flags & IOCP_OP_END)
        return reset(worker, connection);
    connection->exchange = exchange_take(worker);
    if (!connection->exchange)
        return reset(worker, connection);
    return receive_request(worker, connection);
}

/* A receive has ended without a byte. */
static int on_nothing(struct worker *worker, struct connection *connection)
{
    const struct exchange *exchange = connection->exchange;
    enum server_phase phase = server_phase(worker->server);
    bool is_partial = exchange->end > 0 && exchange->skip == 0;

    switch (connection->op.status) {
    case -ETIMEDOUT:
        if (is_partial) {
            request_time_out(worker, connection->exchange);
            return transmit(connection);
        }
        /* It was told in vain that something had come, and still idles. */
        if (exchange->skip == 0 && !connection->is_new)
            return await_request(worker, connection);
        break;
    case -ECANCELED:
        if (is_partial && phase == SERVER_DRAINING)
            return receive_request(worker, connection);
        break;
    default: /* the peer has gone, one way or the other */
        break;
    }
    return reset(worker, connection);
}

static int on_received(struct worker *worker, struct connection *connection)
{
    if (connection->op.bytes == 0)
        return on_nothing(worker, connection);
    connection->exchange->end += (unsigned)connection->op.bytes;
    return proceed(worker, connection);
}

static bool is_sent(const struct exchange *exchange)
{
    if (exchange->transmit.file >= 0)
        return exchange->transmit.head_bytes == 0 &&
               exchange->transmit.file_length == 0;
    return exchange->vectors == 0;
}

/* A send was interrupted, by its deadline or by pool_wake(): go on? */
static bool may_go_on(struct worker *worker, struct connection *connection)
{
    enum server_phase phase = server_phase(worker->server);

    if (connection->op.bytes > 0)
        connection->stalls = 0;
    else
        connection->stalls++;
    if (phase == SERVER_ABORTING ||
        (phase == SERVER_DRAINING && connection->stalls >= STALLS_MAX))
        return false;
    if (phase == SERVER_RUNNING)
        connection->stalls = 0;
    return connection->op.bytes > 0 ||
           peer_is_alive(iocp_handle_fd(handle_of(connection)));
}

/* The answer has gone, or as much of it as ever will. */
static int end_answer(struct worker *worker, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;

    log_answer(worker, connection, exchange);
    if (connection->op.status != 0 && !is_sent(exchange))
        return reset(worker, connection);
    if (exchange->keep) {
        exchange_next(exchange);
        return proceed(worker, connection);
    }
    return exchange->lingers ? drain(connection) : reset(worker, connection);
}

static int on_transmitted(struct worker *worker, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    int status = connection->op.status;

    exchange->sent += connection->op.bytes;
    if (status == -ETIMEDOUT || status == -ECANCELED) {
        exchange_advance(exchange, connection->op.bytes);
        if (!is_sent(exchange) && may_go_on(worker, connection))
            return transmit(connection);
    }
    return end_answer(worker, connection);
}

static int on_drained(struct worker *worker, struct connection *connection)
{
    int64_t left_ns = connection->exchange->until_ns - date_now_ns();
    bool was_woken = connection->op.status == -ECANCELED &&
                     server_phase(worker->server) == SERVER_DRAINING;

    if (left_ns <= 0 || (connection->op.bytes == 0 && !was_woken))
        return reset(worker, connection);
    return receive(connection, left_ns);
}

/* The handle is empty again; if not, it is given up for a new one. */
static int on_reset(struct worker *worker, struct connection *connection)
{
    if (connection->op.status != 0) {
        iocp_handle_close(handle_of(connection));
        atomic_store(&connection->handle, NULL);
    }
    connection->state = WAIT_ACCEPT;
    return leave(worker, connection);
}

static int step(struct worker *worker, struct connection *connection)
{
    switch ((enum connection_state)connection->state) {
    case WAIT_ACCEPT:
        return on_accepted(worker, connection);
    case WAIT_REQUEST:
        return connection->exchange ? on_received(worker, connection)
                                    : on_awaited(worker, connection);
    case WAIT_TRANSMIT:
        return on_transmitted(worker, connection);
    case WAIT_RESET:
        return connection->exchange ? on_drained(worker, connection)
                                    : on_reset(worker, connection);
    }
    return 0;
}

void connection_run(struct worker *worker, struct iocp_op *op)
{
    struct connection *connection = (struct connection *)(void *)op;
    struct iocp_packet again = {.key = KEY_CONNECTION, .op = op};

    for (unsigned steps = 0;; steps++) {
        int started = step(worker, connection);

        if (started == 0)
            return;
        if (started < 0) {
            /* It never began: the same as one that has failed. */
            op->status = started;
            op->bytes = 0;
            op->flags = 0;
        }
        /* It is done at once, and may go on for ever; others wait. */
        if (steps >= STEPS_MAX &&
            iocp_port_post(worker->server->port, &again) == 0)
            return;
    }
}
