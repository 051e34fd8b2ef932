/* Ours: the natural program. The argument is the number of workers. */
#include <iocp.h>
#include <pthread.h>

#include "server.h"

struct connection {
    struct iocp_op op;
    struct iocp_handle *handle;
    int sending;
    char buffer[8192];
};

static struct iocp_port *port;
static struct iocp_handle *listener;

static void accept_one(void)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (!c || iocp_accept(listener, &c->op, NULL, NULL, 0, NULL, NULL) < 0)
        exit(1);
}

/* Go on until something pends; below 0 the connection has ended. */
static int proceed(struct connection *c, int status, size_t bytes)
{
    int result = 1;

    while (result == 1) {
        if (status || (!c->sending && !bytes))
            return -1;
        c->sending = !c->sending;
        result = c->sending ? iocp_send(c->handle, &c->op, c->buffer, bytes, 0)
                            : iocp_recv(c->handle, &c->op, c->buffer,
                                        sizeof(c->buffer), 0);
        status = c->op.status;
        bytes = c->op.bytes;
    }
    return result;
}

static void *work(void *unused)
{
    struct iocp_packet packet;

    while (!iocp_port_wait(port, &packet, IOCP_INFINITE)) {
        struct connection *c = packet.op;
        int result;

        if (!c->handle) {
            accept_one();
            c->handle = c->op.accepted;
            iocp_handle_set_flags(c->handle, IOCP_SKIP_ON_SUCCESS);
            c->sending = 1;
            packet.bytes = 1;
        }
        result = proceed(c, packet.status, packet.bytes);
        if (result < 0) {
            iocp_handle_close(c->handle);
            free(c);
        }
    }
    return unused;
}

int main(int argc, char **argv)
{
    unsigned workers = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    pthread_t thread;

    if (iocp_port_create(workers, &port) ||
        iocp_port_associate(port, bench_listen(), 0, 0, &listener))
        return 1;
    accept_one();
    for (unsigned i = 1; i < workers; i++)
        pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    return 0;
}
