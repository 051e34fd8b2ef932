/* An echo server: one port, four workers, and for each connection one
 * operation in flight. Prints its TCP port; SIGTERM ends it. */
#include <arpa/inet.h>
#include <iocp.h>
#include <pthread.h>
#include <stdio.h>

static struct connection {
    struct iocp_op op; /* first: packet.op is the connection */
    struct iocp_handle *handle;
    enum { IDLE, ACCEPT, RECEIVE, SEND } state;
    char data[4096];
} connections[256];
static struct iocp_port *port;
static struct iocp_handle *listener;

static int proceed(struct connection *c, size_t size)
{
    c->state = c->state == IDLE ? ACCEPT : c->state == SEND ? RECEIVE : SEND;
    if (c->state == ACCEPT) /* done when the first data is here, too */
        return iocp_accept(listener, &c->op, c->handle, c->data, 4096, 0, 0);
    return c->state == SEND ? iocp_send(c->handle, &c->op, c->data, size, 0)
                            : iocp_recv(c->handle, &c->op, c->data, 4096, 0);
}

static void *work(void *unused)
{
    struct iocp_packet p;

    while (!iocp_port_wait(port, &p, IOCP_INFINITE)) {
        struct connection *c = p.op;

        if (p.status || (c->state && !p.bytes) || proceed(c, p.bytes)) {
            c->state = IDLE; /* the peer has left, or accept failed: pause */
            if (iocp_disconnect(c->handle, &c->op, IOCP_REUSE))
                iocp_timer_start(port, &c->op, 0, 10 * 1000 * 1000);
        }
    }
    return unused;
}

int main(void)
{
    struct sockaddr_in at = {.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int fd = socket(at.sin_family = AF_INET, SOCK_STREAM, 0);
    int failed = bind(fd, (void *)&at, size) || listen(fd, SOMAXCONN) ||
                 getsockname(fd, (void *)&at, &size) ||
                 iocp_port_create(0, &port) ||
                 iocp_port_associate(port, fd, 0, 0, &listener);
    pthread_t thread;

    for (struct connection *c = connections; c < connections + 256; c++)
        failed = failed || iocp_port_associate(port, -1, 0, 0, &c->handle) ||
                 proceed(c, 0);
    for (int i = 1; i < 4; i++)
        failed = failed || pthread_create(&thread, NULL, work, NULL);
    dprintf(1, failed ? "cannot start\n" : "%d\n", ntohs(at.sin_port));
    return failed || work(NULL) != NULL;
}
