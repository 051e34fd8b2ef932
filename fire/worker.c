#include "worker.h"

#include <errno.h>
#include <stdio.h>

#include <iocp.h>

#include "connection.h"
#include "exchange.h"
#include "listen.h"
#include "server.h"

static void handle(struct worker *worker, const struct iocp_packet *packet)
{
    switch ((enum server_key)packet->key) {
    case KEY_CONNECTION:
        connection_run(worker, packet->op);
        break;
    case KEY_LISTENER:
        listener_retry(worker->server, packet->op);
        break;
    }
}

static void *run(void *arg)
{
    struct worker *worker = arg;
    struct iocp_packet packet;
    int status;

    for (;;) {
        status = iocp_port_wait(worker->server->port, &packet, IOCP_INFINITE);
        if (status < 0)
            break;
        handle(worker, &packet);
    }
    if (status != -ESHUTDOWN)
        fprintf(stderr, "fire: a worker ends: %s\n", iocp_strerror(status));
    exchange_free_pool(worker);
    return NULL;
}

int worker_start(struct worker *worker, struct server *server,
                 struct log_ring *log)
{
    worker->server = server;
    worker->log = log;
    return -pthread_create(&worker->thread, NULL, run, worker);
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
}
