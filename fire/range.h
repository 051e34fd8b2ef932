/* The Range field (RFC 9110, 14.2). */
#ifndef FIRE_RANGE_H
#define FIRE_RANGE_H

#include <stddef.h>
#include <stdint.h>

enum range_kind {
    RANGE_NONE,          /* to be ignored: answer with the whole file */
    RANGE_ONE,           /* 206 */
    RANGE_UNSATISFIABLE, /* 416 */
};

struct range {
    uint64_t first, last; /* both included */
};

/* Read the field's value for a file of `file_size` bytes. */
enum range_kind range_read(const char *value, size_t size, uint64_t file_size,
                           struct range *ret_range);

#endif
