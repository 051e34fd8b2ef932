#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"
#include "date.h"
#include "pool.h"
#include "server.h"

#define BACKLOG 4096

/* After an error of accept: rest this long, then longer. */
#define REST_FIRST_NS (NS_PER_S / 20)
#define REST_LAST_NS (NS_PER_S / 2)

/* A file that nobody listens behind is left over from one who was killed. */
static void unlink_stale(const struct listen_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return;
    if (connect(fd, &address->socket.any, address->size) < 0 &&
        errno == ECONNREFUSED)
        unlink(address->socket.local.sun_path);
    close(fd);
}

static int set_options(int fd, int family)
{
    int on = 1;

    if (family == AF_UNIX)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -errno;
    /* Connections inherit it, which saves a call for each. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;
    /* [::]:80 and 0.0.0.0:80 may be given together. */
    if (family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    return 0;
}

static int bind_and_listen(int fd, struct listen_address *address)
{
    int error = set_options(fd, address->socket.any.sa_family);

    if (error < 0)
        return error;
    if (bind(fd, &address->socket.any, address->size) < 0)
        return -errno;
    if (listen(fd, BACKLOG) < 0)
        return -errno;
    /* Unless it has a path, the kernel's own form tells the port it chose. */
    if (address->socket.any.sa_family != AF_UNIX &&
        getsockname(fd, &address->socket.any, &address->size) < 0)
        return -errno;
    return 0;
}

int listener_open(struct listener *listener,
                  const struct listen_address *address)
{
    int family = address->socket.any.sa_family;
    int error;

    memset(listener, 0, sizeof(*listener));
    listener->fd = -1;
    listener->address = *address;
    if (family == AF_UNIX)
        unlink_stale(address);
    listener->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return -errno;
    error = bind_and_listen(listener->fd, &listener->address);
    if (error < 0) {
        close(listener->fd);
        listener->fd = -1;
    }
    return error;
}

int listener_associate(struct listener *listener, struct server *server)
{
    int error = iocp_port_associate(server->port, listener->fd, KEY_CONNECTION,
                                    0, &listener->handle);

    if (error < 0)
        return error;
    listener->fd = -1;
    atomic_store(&listener->rest_ns, REST_FIRST_NS);
    atomic_store(&listener->wanted, server->accepts);
    return 0;
}

/* Count one more accept as outstanding, if one more is wanted. */
static bool claim(struct listener *listener)
{
    unsigned pending = atomic_load(&listener->pending);

    do {
        if (pending >= atomic_load(&listener->wanted))
            return false;
    } while (!atomic_compare_exchange_weak(&listener->pending, &pending,
                                           pending + 1));
    return true;
}

/*
 * Leave the descriptors' end, or whatever it is, time to pass. Accepts that
 * fail together begin one rest; the one accept after it tries alone.
 */
static void rest(struct server *server, struct listener *listener)
{
    if (atomic_exchange(&listener->is_resting, true))
        return;
    atomic_store(&listener->wanted, 0);
    if (iocp_timer_start(server->port, &listener->timer, KEY_LISTENER,
                         atomic_load(&listener->rest_ns)) < 0) {
        /* No memory for a timer: the next connection that ends tries. */
        atomic_store(&listener->is_resting, false);
        atomic_store(&listener->wanted, 1);
    }
}

/* Returns false when there is no free connection. */
static bool fill_one(struct server *server, unsigned number)
{
    struct listener *listener = &server->listeners[number];
    bool was_empty = false;

    while (claim(listener)) {
        struct connection *connection = pool_take(server->pool);
        int error;

        if (!connection) {
            atomic_fetch_sub(&listener->pending, 1);
            /* One that was given back since then has found this claim, and
             * started nothing: so look once more without it. */
            if (was_empty || pool_is_empty(server->pool))
                return false;
            was_empty = true;
            continue;
        }
        error = connection_accept(connection, listener, number);
        if (error < 0) {
            pool_give(server->pool, connection);
            atomic_fetch_sub(&listener->pending, 1);
            if (server_phase(server) == SERVER_RUNNING)
                rest(server, listener);
            return true;
        }
    }
    return true;
}

void listener_fill(struct server *server)
{
    if (server_phase(server) != SERVER_RUNNING)
        return;
    for (unsigned i = 0; i < server->listener_count; i++) {
        if (!fill_one(server, i))
            return;
    }
}

/* The client went away again, or its network did: no reason to rest. */
static bool is_of_the_client(int status)
{
    switch (status) {
    case -ECONNABORTED:
    case -ECONNRESET:
    case -EPROTO:
    case -ENETDOWN:
    case -ENETUNREACH:
    case -EHOSTDOWN:
    case -EHOSTUNREACH:
        return true;
    default:
        return false;
    }
}

void listener_accepted(struct server *server, unsigned number, int status)
{
    struct listener *listener = &server->listeners[number];

    atomic_fetch_sub(&listener->pending, 1);
    if (status == 0) {
        /* The trial after a rest was good. */
        if (atomic_load(&listener->wanted) == 1) {
            atomic_store(&listener->rest_ns, REST_FIRST_NS);
            atomic_store(&listener->wanted, server->accepts);
        }
    } else if (!is_of_the_client(status) && status != -ECANCELED) {
        rest(server, listener);
    }
    listener_fill(server);
}

void listener_retry(struct server *server, struct iocp_op *timer)
{
    struct listener *listener = (struct listener *)(void *)timer;
    int64_t next_ns = atomic_load(&listener->rest_ns) * 2;

    atomic_store(&listener->rest_ns,
                 next_ns < REST_LAST_NS ? next_ns : REST_LAST_NS);
    atomic_store(&listener->wanted, 1);
    atomic_store(&listener->is_resting, false);
    listener_fill(server);
}

void listener_close(struct server *server, struct listener *listener)
{
    if (listener->address.socket.any.sa_family == AF_UNIX &&
        !listener->is_closed)
        unlink(listener->address.socket.local.sun_path);
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
    /* A worker may be about to use the handle still: it is told -EBADF. */
    if (listener->handle && !listener->is_closed) {
        iocp_timer_cancel(server->port, &listener->timer);
        iocp_handle_close(listener->handle);
    }
    listener->is_closed = true;
}
