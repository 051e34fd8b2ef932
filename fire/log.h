/*
 * The access log, in the combined format. Workers write lines into rings of
 * their own and never wait; one thread carries them to the file. When it
 * cannot keep up lines are dropped, and it says how many.
 */
#ifndef FIRE_LOG_H
#define FIRE_LOG_H

#include <stddef.h>

struct connection;
struct exchange;
struct log;
struct log_ring;
struct worker;

/* `fd` becomes the log's. Returns 0 or a negative errno. */
int log_create(int fd, unsigned rings, struct log **ret_log);

struct log_ring *log_ring(struct log *log, unsigned number);

/* Add whole lines to a ring, or count one as dropped. Its worker's only. */
void log_write(struct log_ring *ring, const char *bytes, size_t size);

/*
 * Write what is left, but wait only about a second for who reads it;
 * and end. No worker may run any more.
 */
void log_destroy(struct log *log);

/* The line of an answer that was sent, as far as it went. */
void log_answer(struct worker *worker, const struct connection *connection,
                const struct exchange *exchange);

#endif
