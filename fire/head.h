/*
 * The head of a request: the request line and the fields, read strictly
 * (RFC 9110, RFC 9112) and in one pass, however the bytes arrive.
 *
 * The reader never looks at a byte behind the head, copies nothing, and
 * gives the same answer wherever the input is split: a line is judged when
 * its end has come, and a limit when its last byte has.
 */
#ifndef FIRE_HEAD_H
#define FIRE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_TARGET_MAX 8192u /* a longer target: 414 */
#define HEAD_MAX 16384u       /* a longer head: 431 */

enum head_method {
    METHOD_UNKNOWN, /* 501 */
    METHOD_GET,
    METHOD_HEAD,
    METHOD_OPTIONS,
    METHOD_OTHER, /* defined by RFC 9110 or RFC 5789, but not served: 405 */
};

/* A part of the head, counted from its first byte. */
struct head_slice {
    uint16_t start, size;
};

/* All zeroes is a reader that has seen nothing. */
struct head {
    /* Where the reader stands. */
    uint16_t line;    /* the start of the line that is being read */
    uint16_t scanned; /* there is no end of that line before this */
    bool in_fields;   /* the request line was read */

    /* What the head says; valid as far as it was read. */
    bool minor_1; /* HTTP/1.1, else 1.0 */
    bool asterisk;
    bool has_host;
    bool close, keep_alive; /* in Connection */
    bool has_length, is_chunked, faulty_framing;
    bool expects_continue;
    bool has_if_range;
    bool has_ranges;  /* more than one Range field: none is followed */
    uint8_t method;   /* enum head_method */
    uint16_t refused; /* the status of the answer, or 0 */
    uint16_t size;    /* of the whole head, once it was read */
    uint64_t content_length;
    struct head_slice request_line, path, query, range, referer, user_agent;
};

enum head_result {
    HEAD_MORE,    /* so far so good; call again with more behind the same */
    HEAD_DONE,    /* head->size bytes are the head */
    HEAD_REFUSED, /* head->refused; what follows cannot be understood */
};

/*
 * Read on. `bytes` are all that came since the head's first byte, `size`
 * of them; they may have moved since the last call.
 */
enum head_result head_read(struct head *head, const char *bytes, size_t size);

#endif
