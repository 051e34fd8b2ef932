/* Writing an answer into an exchange: its head, and what follows it. */
#ifndef FIRE_ANSWER_H
#define FIRE_ANSWER_H

#include <stdint.h>

struct exchange;
struct file;
struct range;
struct worker;

/* An error, with a small page that says so. `status` is one of those here. */
void answer_error(struct worker *worker, struct exchange *exchange,
                  unsigned status);

/* 416, with the length that the file has. */
void answer_unsatisfiable(struct worker *worker, struct exchange *exchange,
                          uint64_t file_size);

/* 204: what may be done here. */
void answer_options(struct worker *worker, struct exchange *exchange);

/* 301: the same path with a slash behind it. */
void answer_slash(struct worker *worker, struct exchange *exchange);

/* 200, the whole file; or 206, a part of it. Takes over the reference. */
void answer_file(struct worker *worker, struct exchange *exchange,
                 struct file *file);
void answer_range(struct worker *worker, struct exchange *exchange,
                  struct file *file, const struct range *range);

#endif
