/* A worker: one of the identical threads that take packets from the port. */
#ifndef FIRE_WORKER_H
#define FIRE_WORKER_H

#include <pthread.h>

#include "date.h"

struct exchange;
struct log_ring;
struct server;

/* All of it belongs to the worker's own thread. */
struct worker {
    struct server *server;
    pthread_t thread;
    struct date date;
    struct log_ring *log;       /* NULL: off */
    struct exchange *exchanges; /* a stack of spare ones */
    unsigned exchange_count;
};

/* Start the thread. Returns 0 or a negative errno. */
int worker_start(struct worker *worker, struct server *server,
                 struct log_ring *log);

/* Wait until the thread has left, which it does when the port is closed. */
void worker_join(struct worker *worker);

#endif
