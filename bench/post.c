/*
 * Handing packets from threads to threads: post WAY PAIRS. The ways are ours
 * and what one would use else; each carries the same 32 bytes. Prints the
 * microseconds of elapsed time for each packet.
 */
#include <iocp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { PACKETS = 1000000, ROOM = 65536 };

struct way {
    const char *name;
    void (*put)(const struct iocp_packet *);
    void (*get)(struct iocp_packet *);
};

static struct iocp_port *port;
static int pipe_ends[2], event;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static pthread_cond_t emptied = PTHREAD_COND_INITIALIZER;
static struct iocp_packet ring[ROOM];
static unsigned long head, tail;

static void put_port(const struct iocp_packet *packet)
{
    if (iocp_port_post(port, packet))
        abort();
}

static void get_port(struct iocp_packet *ret_packet)
{
    if (iocp_port_wait(port, ret_packet, IOCP_INFINITE))
        abort();
}

static void put_pipe(const struct iocp_packet *packet)
{
    if (write(pipe_ends[1], packet, sizeof(*packet)) != sizeof(*packet))
        abort();
}

static void get_pipe(struct iocp_packet *ret_packet)
{
    if (read(pipe_ends[0], ret_packet, sizeof(*ret_packet)) !=
        sizeof(*ret_packet))
        abort();
}

/* A ring under a mutex; a semaphore counts what is in it. */
static void put_event(const struct iocp_packet *packet)
{
    uint64_t one = 1;

    pthread_mutex_lock(&lock);
    while (head - tail == ROOM)
        pthread_cond_wait(&emptied, &lock);
    ring[head++ % ROOM] = *packet;
    pthread_mutex_unlock(&lock);
    if (write(event, &one, sizeof(one)) != sizeof(one))
        abort();
}

static void get_event(struct iocp_packet *ret_packet)
{
    uint64_t one;

    if (read(event, &one, sizeof(one)) != sizeof(one))
        abort();
    pthread_mutex_lock(&lock);
    *ret_packet = ring[tail++ % ROOM];
    pthread_cond_signal(&emptied);
    pthread_mutex_unlock(&lock);
}

static void put_condition(const struct iocp_packet *packet)
{
    pthread_mutex_lock(&lock);
    while (head - tail == ROOM)
        pthread_cond_wait(&emptied, &lock);
    ring[head++ % ROOM] = *packet;
    pthread_cond_signal(&filled);
    pthread_mutex_unlock(&lock);
}

static void get_condition(struct iocp_packet *ret_packet)
{
    pthread_mutex_lock(&lock);
    while (head == tail)
        pthread_cond_wait(&filled, &lock);
    *ret_packet = ring[tail++ % ROOM];
    pthread_cond_signal(&emptied);
    pthread_mutex_unlock(&lock);
}

static const struct way ways[] = {{"libiocp", put_port, get_port},
                                  {"eventfd", put_event, get_event},
                                  {"pipe", put_pipe, get_pipe},
                                  {"condition", put_condition, get_condition}};
static const struct way *way;
static unsigned pairs;

static void *put_all(void *unused)
{
    struct iocp_packet packet = {.key = 1};

    for (unsigned i = 0; i < PACKETS / pairs; i++)
        way->put(&packet);
    return unused;
}

static void *get_all(void *unused)
{
    struct iocp_packet packet;

    for (unsigned i = 0; i < PACKETS / pairs; i++) {
        way->get(&packet);
        if (packet.key != 1)
            abort();
    }
    return unused;
}

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    double start;

    for (unsigned i = 0; argc == 3 && i < 4; i++)
        if (!strcmp(argv[1], ways[i].name))
            way = &ways[i];
    pairs = argc == 3 ? (unsigned)atoi(argv[2]) : 0;
    event = eventfd(0, EFD_SEMAPHORE);
    if (!way || !pairs || pairs > 32 || event < 0 || pipe(pipe_ends) ||
        iocp_port_create(pairs, &port))
        return 1;
    start = now();
    for (unsigned i = 0; i < pairs; i++) {
        pthread_create(&threads[2 * i], NULL, get_all, NULL);
        pthread_create(&threads[2 * i + 1], NULL, put_all, NULL);
    }
    for (unsigned i = 0; i < 2 * pairs; i++)
        pthread_join(threads[i], NULL);
    printf("%.4f\n", (now() - start) / PACKETS * 1e6);
    return 0;
}
