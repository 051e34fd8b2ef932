/*
 * Listeners: where clients come in. Each keeps a few accepts outstanding,
 * on connections from the pool; when there is no free connection, or no
 * descriptor, clients wait in the kernel's backlog.
 */
#ifndef FIRE_LISTEN_H
#define FIRE_LISTEN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <iocp.h>

struct server;

/* What --listen names. */
struct listen_address {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
        struct sockaddr_un local;
    } socket;
    socklen_t size;
};

/* Read ADDRESS:PORT, [V6]:PORT or unix:PATH. False when it is none of them. */
bool listen_parse(const char *text, struct listen_address *ret_address);

struct listener {
    struct iocp_op timer;          /* first: a timer's packet is the listener */
    int fd;                        /* until it is the handle's */
    struct iocp_handle *handle;    /* immutable once the workers run */
    struct listen_address address; /* as bound: with the port picked */

    atomic_uint wanted;      /* accepts that may be outstanding now */
    atomic_uint pending;     /* accepts that are */
    atomic_bool is_resting;  /* its timer runs */
    _Atomic int64_t rest_ns; /* the next rest */
    bool is_closed;          /* the main thread's */
};

/*
 * Bind and listen. Returns 0 or a negative errno. A Unix socket's file is
 * replaced when nobody listens behind it any more.
 */
int listener_open(struct listener *listener,
                  const struct listen_address *address);

/* Write "http://127.0.0.1:8080/" or "unix:/path". */
void listener_name(const struct listener *listener, char *name, size_t size);

/* Hand the socket over to the server's port. Returns 0 or a negative errno. */
int listener_associate(struct listener *listener, struct server *server);

/* Start as many accepts as are wanted and as there are free connections. */
void listener_fill(struct server *server);

/* An accept has ended: with a client (0), or with an error. */
void listener_accepted(struct server *server, unsigned number, int status);

/* The rest is over. `timer` is the listener's. */
void listener_retry(struct server *server, struct iocp_op *timer);

/* Take no more clients; those in the backlog are turned away. */
void listener_close(struct server *server, struct listener *listener);

#endif
