#include "files.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <iocp.h>

#include "date.h"

#define SHARDS 64u
#define BUCKETS 64u /* of each shard */

/* A look at the disk serves for this long: a second, less the clock's
 * coarseness and the time of the look itself. */
#define FRESH_NS (NS_PER_S - NS_PER_S / 20)

struct shard {
    pthread_mutex_t lock;
    struct { /* all guarded by lock */
        struct file *buckets[BUCKETS];
        struct file *oldest, *newest; /* in order of arrival */
        unsigned entries, descriptors;
        size_t memory_bytes;
    } locked;
} __attribute__((aligned(64)));

struct files {
    const struct file_root *root; /* immutable, as all but the shards */
    struct files_limits limits;   /* of one shard */
    uint64_t seed;
    struct shard shards[SHARDS];
};

struct files *files_create(const struct file_root *root,
                           const struct files_limits *limits)
{
    struct files *files = aligned_alloc(64, sizeof(*files));

    if (!files)
        return NULL;
    memset(files, 0, sizeof(*files));
    files->root = root;
    files->limits.entries = limits->entries / SHARDS + 1;
    files->limits.descriptors = limits->descriptors / SHARDS + 1;
    files->limits.memory_bytes = limits->memory_bytes / SHARDS + 1;
    /* Against names chosen to meet in one bucket. */
    files->seed = (uint64_t)date_now_ns() ^ (uint64_t)(uintptr_t)files;
    for (unsigned i = 0; i < SHARDS; i++)
        pthread_mutex_init(&files->shards[i].lock, NULL);
    return files;
}

/* FNV-1a, with its weak low bits mixed. */
static uint64_t hash_of(uint64_t seed, const char *name, size_t size)
{
    uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 29;
    return hash ^ (hash >> 47);
}

static struct shard *shard_of(struct files *files, uint64_t hash)
{
    return &files->shards[hash % SHARDS];
}

static struct file **bucket_of(struct shard *shard, uint64_t hash)
{
    return &shard->locked.buckets[hash / SHARDS % BUCKETS];
}

static struct file *find_locked(struct shard *shard, uint64_t hash,
                                const char *name, size_t size)
{
    struct file *file = *bucket_of(shard, hash);

    while (file && (file->cached.hash != hash || file->name_size != size ||
                    memcmp(file_name(file), name, size) != 0))
        file = file->cached.next;
    return file;
}

static void append_locked(struct shard *shard, struct file *file)
{
    file->cached.older = shard->locked.newest;
    file->cached.newer = NULL;
    if (file->cached.older)
        file->cached.older->cached.newer = file;
    else
        shard->locked.oldest = file;
    shard->locked.newest = file;
}

static void remove_locked(struct shard *shard, struct file *file)
{
    if (file->cached.older)
        file->cached.older->cached.newer = file->cached.newer;
    else
        shard->locked.oldest = file->cached.newer;
    if (file->cached.newer)
        file->cached.newer->cached.older = file->cached.older;
    else
        shard->locked.newest = file->cached.older;
}

static void link_locked(struct shard *shard, struct file *file)
{
    struct file **bucket = bucket_of(shard, file->cached.hash);

    file->cached.next = *bucket;
    *bucket = file_acquire(file);
    append_locked(shard, file);
    shard->locked.entries++;
    shard->locked.descriptors += file->fd >= 0;
    shard->locked.memory_bytes += file->memory;
}

/* The cache's reference is the caller's afterwards. */
static void unlink_locked(struct shard *shard, struct file *file)
{
    struct file **link = bucket_of(shard, file->cached.hash);

    while (*link != file)
        link = &(*link)->cached.next;
    *link = file->cached.next;
    remove_locked(shard, file);
    shard->locked.entries--;
    shard->locked.descriptors -= file->fd >= 0;
    shard->locked.memory_bytes -= file->memory;
}

static bool is_over(const struct shard *shard,
                    const struct files_limits *limits)
{
    return shard->locked.entries > limits->entries ||
           shard->locked.descriptors > limits->descriptors ||
           shard->locked.memory_bytes > limits->memory_bytes;
}

/*
 * Take out what is too much, oldest first, but let an entry that was used
 * since go round once more. Returns the victims, chained by `next`.
 */
static struct file *evict_locked(struct shard *shard,
                                 const struct files_limits *limits)
{
    struct file *victims = NULL;

    while (shard->locked.oldest && is_over(shard, limits)) {
        struct file *file = shard->locked.oldest;

        if (file->cached.is_used) {
            file->cached.is_used = false;
            remove_locked(shard, file);
            append_locked(shard, file);
            continue;
        }
        unlink_locked(shard, file);
        file->cached.next = victims;
        victims = file;
    }
    return victims;
}

static void release_chain(struct file *file)
{
    while (file) {
        struct file *next = file->cached.next;

        file_release(file);
        file = next;
    }
}

/* Put a new file in the place of whatever bears its name. */
static void insert(struct files *files, struct file *file)
{
    struct shard *shard = shard_of(files, file->cached.hash);
    struct file *old, *victims;

    pthread_mutex_lock(&shard->lock);
    old =
        find_locked(shard, file->cached.hash, file_name(file), file->name_size);
    if (old)
        unlink_locked(shard, old);
    link_locked(shard, file);
    victims = evict_locked(shard, &files->limits);
    pthread_mutex_unlock(&shard->lock);

    if (old)
        file_release(old);
    release_chain(victims);
}

/* The descriptors are used up: let go of those that are only remembered. */
static void drop_descriptors(struct files *files)
{
    struct files_limits limits = files->limits;

    limits.descriptors = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &files->shards[i];
        struct file *victims;

        pthread_mutex_lock(&shard->lock);
        victims = evict_locked(shard, &limits);
        pthread_mutex_unlock(&shard->lock);
        release_chain(victims);
    }
}

static struct file *load(struct files *files, const char *name, size_t size,
                         struct file *known)
{
    struct file *file;

    iocp_block_begin();
    file = file_load(files->root, name, size, known);
    if (file && file->kind == FILE_EXHAUSTED) {
        drop_descriptors(files);
        file_release(file);
        file = file_load(files->root, name, size, known);
    }
    iocp_block_end();
    return file;
}

/* Wrong for a moment only: not to be remembered. */
static bool is_passing(const struct file *file)
{
    return file->kind == FILE_BUSY || file->kind == FILE_EXHAUSTED;
}

/* Look at the disk; `known` (a reference, or NULL) was there before. */
static struct file *renew(struct files *files, const char *name, size_t size,
                          struct file *known, uint64_t hash, int64_t now_ns)
{
    struct file *file = load(files, name, size, known);

    if (file == known)
        return file;
    /* When it cannot be opened now, what was read a second ago will do. */
    if (file && known && is_passing(file) && known->body) {
        file_release(file);
        return known;
    }
    if (known)
        file_release(known);
    if (!file || is_passing(file))
        return file;
    file->cached.hash = hash;
    file->cached.checked_ns = now_ns;
    insert(files, file);
    return file;
}

struct file *files_get(struct files *files, const char *name, size_t name_size,
                       int64_t now_ns)
{
    uint64_t hash = hash_of(files->seed, name, name_size);
    struct shard *shard = shard_of(files, hash);
    struct file *file;
    bool is_stale = true;

    pthread_mutex_lock(&shard->lock);
    file = find_locked(shard, hash, name, name_size);
    if (file) {
        file_acquire(file);
        file->cached.is_used = true;
        is_stale = now_ns - file->cached.checked_ns >= FRESH_NS;
        /* Only the first one looks, the others are served meanwhile. */
        if (is_stale)
            file->cached.checked_ns = now_ns;
    }
    pthread_mutex_unlock(&shard->lock);

    /* Behind a descriptor the length may have changed under the head. */
    if (file && !is_stale && file->fd >= 0)
        is_stale = !file_is_current(file);
    if (!is_stale)
        return file;
    return renew(files, name, name_size, file, hash, now_ns);
}

void files_destroy(struct files *files)
{
    struct files_limits none = {0};

    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &files->shards[i];

        release_chain(evict_locked(shard, &none));
        pthread_mutex_destroy(&shard->lock);
    }
    free(files);
}
