/* An echo server: one port, four threads. Prints its port; stop it by ^C. */
#include <arpa/inet.h>
#include <iocp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct connection {
    struct iocp_op op;          /* first: packet.op is the connection */
    struct iocp_handle *handle; /* NULL until it is accepted */
    int sending;
    char buffer[4096];
};
static struct iocp_port *port;
static struct iocp_handle *listener;

static int accept_one(void)
{
    struct connection *c = calloc(1, sizeof(*c));
    return c ? iocp_accept(listener, &c->op, NULL, NULL, 0, NULL, NULL) : -1;
}

/* One step is done: start the next, or end the connection. */
static void proceed(struct connection *c, const struct iocp_packet *done)
{
    int over = done->status || (c->handle && !done->bytes);
    if (!c->handle && accept_one())
        abort(); /* out of memory: this example has no other plan */
    c->sending = c->handle && !c->sending;
    c->handle = c->handle ? c->handle : c->op.accepted;
    if (!over && c->sending)
        over = iocp_send(c->handle, &c->op, c->buffer, done->bytes, 0);
    else if (!over)
        over = iocp_recv(c->handle, &c->op, c->buffer, sizeof(c->buffer), 0);
    if (over && c->handle)
        iocp_handle_close(c->handle);
    if (over)
        free(c);
}

static void *work(void *unused)
{
    for (struct iocp_packet p; !iocp_port_wait(port, &p, IOCP_INFINITE);)
        proceed(p.op, &p);
    return unused;
}

int main(void)
{
    struct sockaddr_in address = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (listen(fd, 128) || iocp_port_create(0, &port) ||
        iocp_port_associate(port, fd, 0, 0, &listener) || accept_one() ||
        getsockname(fd, (void *)&address, &(socklen_t){sizeof(address)}))
        return 1;
    dprintf(1, "%d\n", ntohs(address.sin_port));
    for (pthread_t t, i = 0; i < 3; i++)
        pthread_create(&t, NULL, work, NULL);
    return work(NULL) != NULL;
}
