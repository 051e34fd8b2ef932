/*
 * The open-file cache: what was asked for lately, by name.
 *
 * Many shards, each with a lock of its own that is held for a look-up and
 * never during a system call. An answer is at most a second old: the first
 * request after that looks at the disk again, while others still get what
 * is there. Absent files are remembered too.
 */
#ifndef FIRE_FILES_H
#define FIRE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "file.h"

struct files;

/* What all shards together may hold. */
struct files_limits {
    unsigned entries;
    unsigned descriptors;
    size_t memory_bytes;
};

/* `root` must live as long. Returns NULL when there is no memory. */
struct files *files_create(const struct file_root *root,
                           const struct files_limits *limits);
void files_destroy(struct files *files);

/*
 * The file of that name, for the caller to release; NULL when there is no
 * memory. `now_ns` is the caller's monotonic clock. May block on the disk,
 * and says so to the port (iocp_block_begin).
 */
struct file *files_get(struct files *files, const char *name, size_t name_size,
                       int64_t now_ns);

#endif
