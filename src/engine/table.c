#include "engine/table.h"

#include <stdlib.h>

#include "engine/handle.h"

/* Chunk k begins at slot 64 * (2^k - 1). */
static unsigned chunk_of(uint32_t slot)
{
    return 31u - (unsigned)__builtin_clz(slot / IOCP__TABLE_FIRST + 1);
}

static uint32_t chunk_start(unsigned chunk)
{
    return IOCP__TABLE_FIRST * ((UINT32_C(1) << chunk) - 1);
}

uint32_t iocp__table_size(const struct iocp__table *table)
{
    /* Acquire: pairs with the release in grow(); the chunk is there. */
    return atomic_load_explicit(&table->used, memory_order_acquire);
}

struct iocp_handle *iocp__table_at(struct iocp__table *table, uint32_t slot)
{
    unsigned chunk = chunk_of(slot);

    if (slot >= iocp__table_size(table))
        return NULL;
    /* Relaxed: ordered by the acquire of `used`. */
    return atomic_load_explicit(&table->chunks[chunk], memory_order_relaxed) +
           (slot - chunk_start(chunk));
}

static struct iocp_handle *grow_locked(struct iocp__table *table)
    IOCP__REQUIRES(table->lock)
{
    uint32_t slot = atomic_load_explicit(&table->used, memory_order_relaxed);
    unsigned chunk = chunk_of(slot);
    struct iocp_handle *handles;

    if (chunk >= IOCP__TABLE_CHUNKS)
        return NULL;
    handles = atomic_load_explicit(&table->chunks[chunk], memory_order_relaxed);
    if (!handles) {
        handles = calloc((size_t)IOCP__TABLE_FIRST << chunk, sizeof(*handles));
        if (!handles)
            return NULL;
        atomic_store_explicit(&table->chunks[chunk], handles,
                              memory_order_relaxed);
    }
    handles += slot - chunk_start(chunk);
    handles->slot = slot;
    handles->fd = -1;
    handles->node.kind = IOCP__READY;
    atomic_store_explicit(&table->used, slot + 1, memory_order_release);
    return handles;
}

struct iocp_handle *iocp__table_take(struct iocp__table *table)
{
    struct iocp_handle *handle;
    struct iocp__node *node;

    iocp__mutex_lock(&table->lock);
    node = iocp__list_pop(&table->free);
    handle = node ? IOCP__CONTAINER(node, struct iocp_handle, node)
                  : grow_locked(table);
    iocp__mutex_unlock(&table->lock);
    return handle;
}

void iocp__table_give(struct iocp__table *table, struct iocp_handle *handle)
{
    iocp__mutex_lock(&table->lock);
    iocp__list_append(&table->free, &handle->node);
    iocp__mutex_unlock(&table->lock);
}

void iocp__table_destroy(struct iocp__table *table)
{
    for (unsigned i = 0; i < IOCP__TABLE_CHUNKS; i++)
        free(table->chunks[i]);
}
