/* The peer: raw epoll, edge-triggered, one thread, one registration for each
 * connection; a short read ends the loop, as epoll(7) allows on a stream. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "server.h"

struct connection {
    int fd;
    size_t from, to; /* what the kernel has not taken yet */
    char buffer[8192];
};

static void end(struct connection *connection)
{
    close(connection->fd);
    free(connection);
}

/* False when the connection has ended. */
static int flush(struct connection *c)
{
    while (c->from < c->to) {
        ssize_t bytes =
            send(c->fd, c->buffer + c->from, c->to - c->from, MSG_NOSIGNAL);

        if (bytes < 0)
            return errno == EAGAIN;
        c->from += (size_t)bytes;
    }
    c->from = c->to = 0;
    return 1;
}

static int serve(struct connection *c, unsigned events)
{
    if (!flush(c))
        return 0;
    while (!c->to) {
        ssize_t bytes = recv(c->fd, c->buffer, sizeof(c->buffer), 0);

        if (bytes <= 0)
            return bytes < 0 && errno == EAGAIN;
        c->to = (size_t)bytes;
        if (!flush(c))
            return 0;
        if ((size_t)bytes < sizeof(c->buffer) &&
            !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
            return 1;
    }
    return 1;
}

int main(void)
{
    int listener = bench_listen(), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, events[64];

    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);

        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;

            if (c && !serve(c, events[i].events))
                end(c);
            if (c)
                continue;
            c = calloc(1, sizeof(*c));
            c->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
            event.data.ptr = c;
            epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        }
    }
}
