/*
 * The connection objects: made once, re-used for ever. Free ones lie on a
 * lock-free stack; those never used yet are memory never touched.
 */
#ifndef FIRE_POOL_H
#define FIRE_POOL_H

#include <stdbool.h>

struct connection;
struct iocp_port;
struct pool;

/* Returns NULL when there is no memory. */
struct pool *pool_create(struct iocp_port *port, unsigned capacity);

/* A free connection, its handle empty; NULL when none is left. */
struct connection *pool_take(struct pool *pool);
bool pool_is_empty(const struct pool *pool);
void pool_give(struct pool *pool, struct connection *connection);

/* How many were handed out and not given back. */
unsigned pool_taken(const struct pool *pool);

/*
 * Ask that whatever is in flight on any connection ends now, so that each
 * looks at the server's phase. What was finished meanwhile is not harmed.
 */
void pool_wake(struct pool *pool);

/* Close the handles of all connections; none may be in use. */
void pool_close(struct pool *pool);
void pool_destroy(struct pool *pool);

#endif
