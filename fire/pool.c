#include "pool.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <iocp.h>

#include "connection.h"
#include "server.h"

#define NONE UINT32_MAX

struct pool {
    struct iocp_port *port;         /* immutable */
    struct connection *connections; /* immutable: where they lie */
    uint32_t capacity;              /* immutable */

    /* The stack: an index below, and above it a count of changes, so that
     * a top that went and came back is not taken for the same stack. */
    _Atomic uint64_t top;
    atomic_uint touched; /* those before this index were used once */
    atomic_uint taken;
};

struct pool *pool_create(struct iocp_port *port, unsigned capacity)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    size_t size = capacity * sizeof(struct connection);

    if (!pool)
        return NULL;
    pool->connections = mmap(NULL, size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pool->connections == MAP_FAILED) {
        free(pool);
        return NULL;
    }
    pool->port = port;
    pool->capacity = capacity;
    atomic_init(&pool->top, NONE);
    return pool;
}

static struct connection *pop(struct pool *pool)
{
    uint64_t top = atomic_load(&pool->top), next;
    struct connection *connection;

    do {
        if ((uint32_t)top == NONE)
            return NULL;
        connection = &pool->connections[(uint32_t)top];
        next =
            atomic_load_explicit(&connection->next_free, memory_order_relaxed);
        next |= ((top >> 32) + 1) << 32;
    } while (!atomic_compare_exchange_weak(&pool->top, &top, next));
    return connection;
}

static void push(struct pool *pool, struct connection *connection)
{
    uint64_t index = (uint64_t)(connection - pool->connections);
    uint64_t top = atomic_load(&pool->top), next;

    do {
        atomic_store_explicit(&connection->next_free, (uint32_t)top,
                              memory_order_relaxed);
        next = index | ((top >> 32) + 1) << 32;
    } while (!atomic_compare_exchange_weak(&pool->top, &top, next));
}

/* One that was never used before. */
static struct connection *touch(struct pool *pool)
{
    unsigned index = atomic_load(&pool->touched);

    do {
        if (index == pool->capacity)
            return NULL;
    } while (!atomic_compare_exchange_weak(&pool->touched, &index, index + 1));
    return &pool->connections[index];
}

/* Its handle is made at the first use, and made anew if it had to be closed. */
static bool has_handle(struct pool *pool, struct connection *connection)
{
    struct iocp_handle *handle = atomic_load(&connection->handle);

    if (handle)
        return true;
    if (iocp_port_associate(pool->port, -1, KEY_CONNECTION,
                            IOCP_SKIP_ON_SUCCESS, &handle) < 0)
        return false;
    atomic_store(&connection->handle, handle);
    return true;
}

struct connection *pool_take(struct pool *pool)
{
    struct connection *connection = pop(pool);

    if (!connection)
        connection = touch(pool);
    if (!connection)
        return NULL;
    if (!has_handle(pool, connection)) {
        push(pool, connection);
        return NULL;
    }
    atomic_fetch_add(&pool->taken, 1);
    return connection;
}

bool pool_is_empty(const struct pool *pool)
{
    return (uint32_t)atomic_load(&pool->top) == NONE &&
           atomic_load(&pool->touched) == pool->capacity;
}

void pool_give(struct pool *pool, struct connection *connection)
{
    push(pool, connection);
    atomic_fetch_sub(&pool->taken, 1);
}

unsigned pool_taken(const struct pool *pool)
{
    return atomic_load(&pool->taken);
}

void pool_wake(struct pool *pool)
{
    unsigned touched = atomic_load(&pool->touched);

    for (unsigned i = 0; i < touched; i++) {
        struct iocp_handle *handle = atomic_load(&pool->connections[i].handle);

        /* One that has just been closed, or was empty, says so. */
        if (handle)
            iocp_cancel(handle, NULL);
    }
}

void pool_close(struct pool *pool)
{
    unsigned touched = atomic_load(&pool->touched);

    for (unsigned i = 0; i < touched; i++) {
        struct iocp_handle *handle =
            atomic_exchange(&pool->connections[i].handle, NULL);

        if (handle)
            iocp_handle_close(handle);
    }
}

void pool_destroy(struct pool *pool)
{
    munmap(pool->connections, pool->capacity * sizeof(struct connection));
    free(pool);
}
