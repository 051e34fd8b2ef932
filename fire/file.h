/*
 * One file as it is served: opened below the root, its header lines ready,
 * a small body in memory and a large one behind a descriptor.
 *
 * A file never changes once it was loaded, but for what the cache keeps in
 * it; whoever holds a reference may read it without a lock.
 */
#ifndef FIRE_FILE_H
#define FIRE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Bodies up to this size are kept in memory. */
#define FILE_BODY_MAX 16384

enum file_kind {
    FILE_REGULAR,
    FILE_DIRECTORY, /* asked for without its slash */
    FILE_MISSING,   /* or nothing that is served */
    FILE_FORBIDDEN, /* the system denies it */
    FILE_BUSY,      /* no end of renaming, or the disk fails */
    FILE_EXHAUSTED, /* no descriptor or no memory left for it */
};

/* What tells one state of a file from another. */
struct file_identity {
    uint64_t device, inode, size;
    struct timespec modified, changed;
};

struct file {
    atomic_uint references;
    enum file_kind kind;

    /* Of a regular file only. */
    int fd;        /* -1 when the body is in memory, or there is no file */
    bool is_young; /* it may have changed again without a trace */
    struct file_identity identity;
    const char *body; /* NULL when it is behind `fd` */
    const char *head; /* of a 200: from the status line to "Date: " */
    unsigned head_size;
    unsigned fields; /* in `head`: what a 206 sends too, up to "Date: " */

    /* The cache's alone, guarded by the lock of the shard. */
    struct {
        struct file *next; /* in its bucket */
        struct file *older, *newer;
        uint64_t hash;
        int64_t checked_ns;
        bool is_used; /* since the cache last looked for a victim */
    } cached;

    size_t name_size;
    size_t memory; /* of this object */
    char bytes[];  /* the name, the head, the body */
};

/* Where files are opened: the root and the name of an index. */
struct file_root {
    int fd; /* O_PATH */
    const char *index;
};

/*
 * Look whether the system can open files below a root at all (openat2(2),
 * Linux 5.6). Returns 0 or a negative errno.
 */
int file_root_probe(const struct file_root *root);

/*
 * Load `name`, as path_decode() made it. What cannot be opened is a file
 * of another kind. With `known`, what was loaded before under that name, and
 * nothing changed since, it returns `known` without a new reference.
 * Returns NULL when there is no memory. May block on the disk.
 */
struct file *file_load(const struct file_root *root, const char *name,
                       size_t name_size, struct file *known);

/* A large file may have changed behind its descriptor; look. */
bool file_is_current(const struct file *file);

static inline const char *file_name(const struct file *file)
{
    return file->bytes;
}

struct file *file_acquire(struct file *file);
void file_release(struct file *file);

#endif
