/* Vectors that are only partly done: the caller's own is never changed. */
#include "op/op.h"

size_t iocp__vector_bytes(const struct iovec *vector, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += vector[i].iov_len;
    return bytes;
}

unsigned iocp__vector_window(const struct iovec *vector, size_t count,
                             size_t skip, struct iovec *window)
{
    unsigned used = 0;

    for (size_t i = 0; i < count && used < IOCP__WINDOW; i++) {
        if (skip >= vector[i].iov_len) {
            skip -= vector[i].iov_len;
            continue;
        }
        window[used].iov_base = (char *)vector[i].iov_base + skip;
        window[used++].iov_len = vector[i].iov_len - skip;
        skip = 0;
    }
    return used;
}
