/* The load: PORT CONNECTIONS BYTES SECONDS. Closed loop, one request in
 * flight on each connection, every byte of every answer looked at. Prints
 * the number of answers. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    size_t got;
    unsigned char byte;
};

static size_t size;

static void ask(struct connection *c)
{
    char request[8192];

    c->got = 0;
    c->byte++;
    memset(request, c->byte, size);
    if (send(c->fd, request, size, 0) != (ssize_t)size)
        exit(1);
}

/* True when the answer is whole. */
static int hear(struct connection *c)
{
    unsigned char answer[8192];
    ssize_t bytes = recv(c->fd, answer, sizeof(answer), MSG_DONTWAIT);

    if (bytes == 0)
        exit(1);
    for (ssize_t i = 0; i < bytes; i++)
        if (answer[i] != c->byte)
            exit(2);
    c->got += bytes > 0 ? (size_t)bytes : 0;
    return c->got == size;
}

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct epoll_event event = {.events = EPOLLIN}, events[64];
    int epoll = epoll_create1(0), count, one = 1;
    unsigned connections;
    unsigned long answers = 0;
    double end;

    if (argc != 5)
        return 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    connections = (unsigned)atoi(argv[2]);
    size = (size_t)atoi(argv[3]);
    if (size > 8192)
        return 1;
    end = now() + atof(argv[4]);
    for (unsigned i = 0; i < connections; i++) {
        struct connection *c = calloc(1, sizeof(*c));

        c->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)))
            return 1;
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        event.data.ptr = c;
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event);
        ask(c);
    }
    while (now() < end) {
        count = epoll_wait(epoll, events, 64, 1000);
        for (int i = 0; i < count; i++)
            if (hear(events[i].data.ptr)) {
                answers++;
                ask(events[i].data.ptr);
            }
    }
    printf("%lu\n", answers);
    return 0;
}
