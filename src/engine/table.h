/*
 * The table of a port's handles: slots that never move and never lose their
 * type until the port is gone. Found by number without a lock; taken and
 * given back under one. A closed slot is re-used as late as possible, the
 * oldest first, so that a stale pointer is found out for long.
 *
 * Chunk k holds 64 << k handles, so that 20 chunks are 67 million slots.
 * Memory of a chunk that was never touched costs nothing.
 */
#ifndef IOCP_ENGINE_TABLE_H
#define IOCP_ENGINE_TABLE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/list.h"
#include "base/mutex.h"

struct iocp_handle;

enum { IOCP__TABLE_CHUNKS = 20, IOCP__TABLE_FIRST = 64 };

struct iocp__table {
    struct iocp_handle *_Atomic chunks[IOCP__TABLE_CHUNKS];
    struct iocp__mutex lock;
    struct iocp__list free; /* guarded by lock; FIFO */
    _Atomic uint32_t used;  /* slots ever taken; grows under lock */
};

/* A free handle, all but its slot and generation as left; or NULL. */
struct iocp_handle *iocp__table_take(struct iocp__table *table);
void iocp__table_give(struct iocp__table *table, struct iocp_handle *handle);
/* The handle in `slot`, closed ones included; NULL beyond the last. */
struct iocp_handle *iocp__table_at(struct iocp__table *table, uint32_t slot);
uint32_t iocp__table_size(const struct iocp__table *table);
void iocp__table_destroy(struct iocp__table *table);

#endif
