/* From the path of a request to the name of a file below the root. */
#ifndef FIRE_PATH_H
#define FIRE_PATH_H

#include <stddef.h>

/*
 * Decode `size` bytes of a request's path into `name`, which has room for
 * size + 1: relative, without empty segments, ending in '\0'. It is empty,
 * or ends in a slash, when a directory was asked for.
 * Returns 0, or the status of the refusal: 400 for a broken %-code, 404 for
 * what never names a file.
 */
unsigned path_decode(const char *path, size_t size, char *name,
                     size_t *ret_size);

#endif
