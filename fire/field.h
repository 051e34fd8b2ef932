/* The fields of a request's head, and the alphabets they are written in. */
#ifndef FIRE_FIELD_H
#define FIRE_FIELD_H

#include <stdbool.h>
#include <stddef.h>

struct head;

/*
 * Read one field line, from `start` to `end` of the head without its CR LF.
 * Returns 0, or the status of the answer that refuses the request.
 */
unsigned field_read(struct head *head, const char *bytes, size_t start,
                    size_t end);

/* Equal, with ASCII letters in any case; `lower` is in lower case. */
bool field_is(const char *text, size_t size, const char *lower);

/* 1*tchar (RFC 9110, 5.6.2). */
bool field_is_token(const char *text, size_t size);

/* Only characters that may stand in a request target. */
bool field_is_target(const char *text, size_t size);

/* uri-host [ ":" port ], without userinfo; may be empty (RFC 9110, 7.2). */
bool field_is_host(const char *text, size_t size);

#endif
