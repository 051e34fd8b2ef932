#include "path.h"

#include <stdbool.h>
#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One %-code at `path`. Returns the byte, or -1. */
static int decode_code(const char *path, size_t size)
{
    int high, low;

    if (size < 3)
        return -1;
    high = hex_value(path[1]);
    low = hex_value(path[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/*
 * Dot files are private, and "." and ".." are for the client to resolve:
 * one rule for all of them. ".well-known" is RFC 8615's.
 */
static bool is_hidden(const char *segment, size_t size)
{
    static const char well_known[] = ".well-known";

    return segment[0] == '.' && (size != sizeof(well_known) - 1 ||
                                 memcmp(segment, well_known, size) != 0);
}

unsigned path_decode(const char *path, size_t size, char *name,
                     size_t *ret_size)
{
    size_t length = 0, segment = 0;

    for (size_t i = 0; i <= size; i++) {
        int c = i < size ? (unsigned char)path[i] : '/';

        if (c == '%') {
            c = decode_code(path + i, size - i);
            if (c <= 0)
                return 400;
            /* No name has a slash in it, and it must not become one. */
            if (c == '/')
                return 404;
            i += 2;
        } else if (c == '/') {
            if (length > segment && is_hidden(name + segment, length - segment))
                return 404;
            if (i == size || length == segment)
                continue;
            segment = length + 1;
        }
        name[length++] = (char)c;
    }
    name[length] = '\0';
    *ret_size = length;
    return 0;
}
